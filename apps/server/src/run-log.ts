import { TesseraError } from "@tessera/core";
import { type KeyedChange, type KeyedLog, warn } from "@tessera/core/internal";
import type { RunEvent, RunState } from "@tessera/graph/internal";
import { type PackedRow, packRow, unpackRow } from "./values.js";

/** What is asked of a run without reading it. */
export interface RunSummary extends Pick<RunState, "status" | "started" | "ended"> {
  readonly principal: string;
  /** Of a fork: the run that it takes steps from. */
  readonly of?: string;
}

type PackedState = Omit<RunState, "input" | "output"> & { readonly input: PackedRow; readonly output?: PackedRow };

/** Events that are ready to be written: a line of JSON each, and the values that they name by hash. */
export interface EventBatch {
  readonly lines: readonly string[];
  readonly texts: ReadonlyMap<string, string>;
}

/**
 * Runs in the log of a service: "run/<id>" is a state, "events/<id>" a list of batches of events. Long values of both are
 * blobs, which runs and records share.
 */
export class RunLog {
  readonly #known = new Map<string, RunSummary>();
  #log!: KeyedLog;

  /** Takes what the log holds when it is opened. */
  replay(key: string, value: Buffer | undefined): void {
    if (!key.startsWith("run/")) return;
    const id = key.slice("run/".length);
    if (value) this.#note(id, JSON.parse(value.toString()) as PackedState);
    else this.#known.delete(id);
  }

  writeTo(log: KeyedLog): this {
    this.#log = log;
    return this;
  }

  #note(id: string, { status, started, ended, principal, fork }: Omit<RunState, "input" | "output">): void {
    this.#known.set(id, {
      status,
      started,
      principal: principal.id,
      ...(ended !== undefined && { ended }),
      ...(fork && { of: fork.of }),
    });
  }

  get summaries(): ReadonlyMap<string, RunSummary> {
    return this.#known;
  }

  /** Bytes of what the log keeps: runs, their events and the records of their steps. */
  get liveBytes(): number {
    return this.#log.liveBytes;
  }

  /** Keeps a state, and events that belong to it; both or neither. Resolves once they would survive a crash. */
  save(state: RunState, events?: EventBatch): Promise<void> {
    const texts = new Map<string, string>();
    const change = put(state, texts);
    if (!events || events.lines.length === 0) return this.#commit(state, [change], texts);
    const changes = [change, addition(state.id, events)];
    for (const [hash, text] of events.texts) texts.set(hash, text);
    return this.#commit(state, changes, texts);
  }

  #commit(state: RunState, changes: readonly KeyedChange[], texts: ReadonlyMap<string, string>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#log.enqueue(changes, texts, (error) => {
        if (error !== undefined) return reject(error);
        this.#note(state.id, state);
        resolve();
      });
    });
  }

  /**
   * Keeps the first state of a run, in front of all that is written of it from now on.
   * @param isNeeded is asked when it is about to be written: a run that has ended by then is there with its end alone
   */
  begin(state: RunState, isNeeded: () => boolean): Promise<void> {
    let needed = false;
    const made = () => {
      needed = isNeeded();
      if (!needed) return undefined;
      const blobs = new Map<string, string>();
      return { changes: [put(state, blobs)], blobs };
    };
    return this.#log.commitLater(made).then(() => {
      if (needed) this.#note(state.id, state);
    });
  }

  /** Keeps events of a run. */
  append(id: string, events: EventBatch): Promise<void> {
    return this.#log.commit([addition(id, events)], events.texts);
  }

  /**
   * @param options `long`: whether long values are read too; else they are left out
   * @throws TesseraError RECORD_CORRUPT
   */
  async get(id: string, { long = true } = {}): Promise<RunState | undefined> {
    const value = await this.#log.get(`run/${id}`);
    if (!value) return undefined;
    const packed = JSON.parse(value.toString()) as PackedState;
    const read = (row: PackedRow) => unpackRow(long ? row : shortOf(row), this.#log);
    const state = { ...packed, input: await read(packed.input) } as RunState;
    if (packed.output) Object.assign(state, { output: await read(packed.output) });
    return state;
  }

  /** The events of a run, in batches that are read one after another. */
  async events(id: string): Promise<RunEvent[]> {
    const events: RunEvent[] = [];
    for (const batch of await this.#log.list(`events/${id}`))
      for (const line of batch.toString().split("\n")) events.push(JSON.parse(line));
    return events;
  }

  /** Whether an event of a run names a value. */
  async names(id: string, hash: string): Promise<boolean> {
    return (await this.#log.list(`events/${id}`)).some((batch) => batch.includes(`"$value":"${hash}"`));
  }

  /** A value that an event names. */
  async value(hash: string): Promise<string | undefined> {
    return (await this.#log.blob(hash))?.toString();
  }

  async remove(ids: readonly string[]): Promise<void> {
    await this.#log.commit(ids.flatMap((id) => [{ delete: `run/${id}` }, { delete: `events/${id}` }]));
    for (const id of ids) this.#known.delete(id);
  }
}

const none: readonly string[] = [];

/** A state; what is long of it goes into `texts`. */
function put(state: RunState, texts: Map<string, string>): KeyedChange {
  const { id, input, output } = state;
  // the order of the members stays
  const packed = { ...state, input: packRow(input, texts) } as PackedState;
  if (output) Object.assign(packed, { output: packRow(output, texts) });
  return { put: `run/${id}`, value: JSON.stringify(packed), blobs: texts.size === 0 ? none : [...texts.keys()] };
}

const addition = (id: string, { lines, texts }: EventBatch): KeyedChange => ({
  add: `events/${id}`,
  value: lines.join("\n"),
  blobs: texts.size === 0 ? none : [...texts.keys()],
});

const shortOf = (row: PackedRow): PackedRow =>
  Object.fromEntries(Object.entries(row).filter(([, ref]) => !ref.startsWith("#")));

/** Warns that something of a run is lost, and goes on. */
export const warnLost = (what: string, thrown: unknown): void => warn(what, thrown);

/** The error for a value that is asked for and not there. */
export const noValue = (hash: string): TesseraError =>
  new TesseraError("NOT_FOUND", `the run names no value ${hash}`, { path: hash });
