import {
  type KeyedChange,
  type KeyedLog,
  KeyedQueue,
  type OpenedThread,
  sha256,
  type ThreadEnd,
  type ThreadHold,
  type ThreadName,
  type ThreadQuery,
  type ThreadState,
  type ThreadStore,
  type ThreadTurn,
  type TurnQuery,
} from "@tessera/core/internal";
import { seal, unseal } from "../records/pack.js";
import { byChange, closedThread, openedThread, pageOf } from "./changes.js";

const chunk = 64; // turns that are read together

type Numbered = ThreadTurn & { readonly number: number };

const prefix = "thread/";
const placeOf = ({ owner, id }: ThreadName): string => `${sha256(owner)}/${id}`;
const keyOf = (name: ThreadName): string => `${prefix}${placeOf(name)}`;
const chunkKey = (name: ThreadName, number: number): string => `turns/${placeOf(name)}/${Math.floor(number / chunk)}`;

/**
 * Threads in a keyed log: "thread/<owner's hash>/<id>" is a thread, "turns/<owner's hash>/<id>/<n>" the list of its turns
 * from 64 n on. A turn that is written again stands in place of the one of its number.
 */
export class LogThreads implements ThreadStore {
  readonly #alone = new KeyedQueue();
  #ids: Map<string, Set<string>> | undefined;

  constructor(private readonly log: KeyedLog) {}

  /** The ids of threads by the hash of their owner. */
  get #known(): Map<string, Set<string>> {
    if (this.#ids) return this.#ids;
    const known = new Map<string, Set<string>>();
    this.#ids = known;
    for (const key of this.log.keys()) {
      if (!key.startsWith(prefix)) continue;
      const [owner = "", id = ""] = key.slice(prefix.length).split("/");
      idsOf(known, owner).add(id);
    }
    return known;
  }

  open(
    name: ThreadName,
    hold: ThreadHold,
    { instead, again }: { readonly instead?: string | undefined; readonly again?: boolean | undefined } = {},
  ): Promise<OpenedThread> {
    return this.#alone.do(keyOf(name), async () => {
      const before = await this.get(name);
      if (before && again && (await this.#turnOf(before, hold.run))) return { how: "ended", thread: before };
      const opened = openedThread(before, name, hold, instead);
      if (opened.how === "opened") await this.#keep(opened.thread);
      return opened;
    });
  }

  close(name: ThreadName, run: string, end?: ThreadEnd): Promise<void> {
    return this.#alone.do(keyOf(name), async () => {
      const before = await this.get(name);
      if (!before) return;
      if (before.open?.run !== run) {
        const known = end && (await this.#turnOf(before, run));
        if (known) await this.log.commit([addition(name, { ...end.turn, number: known.number })]);
        return;
      }
      const thread = closedThread(before, end);
      if (!thread) await this.#remove(before);
      else await this.#keep(thread, end ? [addition(name, { ...end.turn, number: before.turns })] : []);
    });
  }

  async #keep(thread: ThreadState, more: readonly KeyedChange[] = []): Promise<void> {
    const known = this.#known; // read before the thread is there
    await this.log.commit([{ put: keyOf(thread), value: seal(thread) }, ...more]);
    idsOf(known, sha256(thread.owner)).add(thread.id);
  }

  async get(name: ThreadName): Promise<ThreadState | undefined> {
    const value = await this.log.get(keyOf(name));
    return value && unseal<ThreadState>(value.toString(), name.id);
  }

  /** The turns of a chunk by their number. */
  async #chunkAt(name: ThreadName, number: number): Promise<Map<number, Numbered>> {
    const lines = await this.log.list(chunkKey(name, number));
    const turns = lines.map((line) => unseal<Numbered>(line.toString(), name.id));
    return new Map(turns.map((turn) => [turn.number, turn]));
  }

  /** The last turn that a run has taken. */
  async #turnOf(thread: ThreadState, run: string): Promise<Numbered | undefined> {
    for (let last = thread.turns - 1; last >= 0; last = Math.floor(last / chunk) * chunk - 1) {
      const found = [...(await this.#chunkAt(thread, last)).values()].filter((turn) => turn.run === run);
      if (found.length > 0) return found.reduce((a, b) => (a.number > b.number ? a : b));
    }
    return undefined;
  }

  async turns(name: ThreadName, { limit, before = Number.POSITIVE_INFINITY }: TurnQuery): Promise<ThreadTurn[]> {
    const thread = await this.get(name);
    const end = Math.min(before, thread?.turns ?? 0);
    const turns: ThreadTurn[] = [];
    for (let number = Math.max(0, end - limit); number < end; ) {
      const found = await this.#chunkAt(name, number);
      for (const until = Math.min(end, (Math.floor(number / chunk) + 1) * chunk); number < until; number++) {
        const { number: _, ...turn } = found.get(number)!;
        turns.push(turn);
      }
    }
    return turns;
  }

  async list({ owner, ...page }: ThreadQuery): Promise<ThreadState[]> {
    const ids = [...(this.#known.get(sha256(owner)) ?? [])];
    const threads = await Promise.all(ids.map((id) => this.get({ owner, id })));
    return pageOf(threads.filter((thread) => thread !== undefined).sort(byChange), page);
  }

  async count(owner: string): Promise<number> {
    return this.#known.get(sha256(owner))?.size ?? 0;
  }

  remove(name: ThreadName): Promise<boolean> {
    return this.#alone.do(keyOf(name), async () => {
      const thread = await this.get(name);
      if (thread) await this.#remove(thread);
      return thread !== undefined;
    });
  }

  async #remove(thread: ThreadState): Promise<void> {
    const chunks = Array.from({ length: Math.ceil(thread.turns / chunk) }, (_, at) => ({
      delete: chunkKey(thread, at * chunk),
    }));
    const known = this.#known;
    await this.log.commit([{ delete: keyOf(thread) }, ...chunks]);
    idsOf(known, sha256(thread.owner)).delete(thread.id);
  }
}

const addition = (name: ThreadName, turn: Numbered): KeyedChange => ({
  add: chunkKey(name, turn.number),
  value: seal(turn),
});

function idsOf(known: Map<string, Set<string>>, owner: string): Set<string> {
  const ids = known.get(owner) ?? new Set();
  known.set(owner, ids);
  return ids;
}
