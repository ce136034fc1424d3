import type { KeyedLog, WaitNote, WaitNotes, WaitQuery } from "@tessera/core/internal";
import { DueQueue, fits } from "./memory-notes.js";

/** What is known of a note without reading it. */
interface Known {
  readonly since: number;
  readonly due: number | undefined;
}

const prefix = "waiting/";
const keyOf = (run: string, { since, due }: Known): string =>
  `${prefix}${run}/${since.toString(36)}/${due === undefined ? "" : due.toString(36)}`;

/**
 * Notes of runs that wait, in a keyed log: "waiting/<run>/<since>/<due>", so that nothing is read when a service starts
 * with many of them.
 */
export class LogNotes implements WaitNotes {
  #known: Map<string, Known> | undefined;
  readonly #queue = new DueQueue((run) => this.#notes.get(run)?.due);

  /** Notes that are being written. */
  readonly #writing = new Map<string, WaitNote>();

  constructor(private readonly log: KeyedLog) {}

  get #notes(): Map<string, Known> {
    if (this.#known) return this.#known;
    const known = new Map<string, Known>();
    this.#known = known;
    for (const key of this.log.keys()) {
      if (!key.startsWith(prefix)) continue;
      const [run = "", since = "", due = ""] = key.slice(prefix.length).split("/");
      this.#set(run, { since: Number.parseInt(since, 36), due: due === "" ? undefined : Number.parseInt(due, 36) });
    }
    return known;
  }

  #set(run: string, known: Known): void {
    this.#known!.set(run, known);
    if (known.due) this.#queue.add(run, known.due);
  }

  async note(note: WaitNote): Promise<void> {
    const before = this.#notes.get(note.run);
    const known = { since: note.since, due: note.due };
    this.#set(note.run, known);
    const key = keyOf(note.run, known);
    const old = before && keyOf(note.run, before);
    const gone = old !== undefined && old !== key ? [{ delete: old }] : [];
    this.#writing.set(note.run, note);
    try {
      await this.log.commit([...gone, { put: key, value: JSON.stringify(note) }]);
    } finally {
      if (this.#writing.get(note.run) === note) this.#writing.delete(note.run);
    }
  }

  /** What removes the note of a run from the log, together with other changes. */
  removal(run: string): { readonly delete: string }[] {
    const known = this.#notes.get(run);
    if (!known) return [];
    this.#notes.delete(run);
    this.#writing.delete(run);
    return [{ delete: keyOf(run, known) }];
  }

  async remove(run: string): Promise<void> {
    const changes = this.removal(run);
    if (changes.length > 0) await this.log.commit(changes);
  }

  async get(run: string): Promise<WaitNote | undefined> {
    const writing = this.#writing.get(run);
    if (writing) return writing;
    const known = this.#notes.get(run);
    const value = known && (await this.log.get(keyOf(run, known)));
    return value && (JSON.parse(value.toString()) as WaitNote);
  }

  async list(query: WaitQuery): Promise<WaitNote[]> {
    const found: WaitNote[] = [];
    const runs = [...this.#notes].sort(([, a], [, b]) => a.since - b.since).map(([run]) => run);
    for (let at = 0; at < runs.length && found.length < query.limit; at += query.limit)
      for (const note of await Promise.all(runs.slice(at, at + query.limit).map((run) => this.get(run))))
        if (note && fits(note, query)) found.push(note);
    return found.slice(0, query.limit);
  }

  async due(at: number, limit: number): Promise<string[]> {
    return this.#notes && this.#queue.due(at, limit);
  }

  async next(): Promise<number | undefined> {
    return this.#notes && this.#queue.next()?.at;
  }

  async left(): Promise<string[]> {
    return [...this.#notes].filter(([, { due }]) => due === 0).map(([run]) => run);
  }
}
