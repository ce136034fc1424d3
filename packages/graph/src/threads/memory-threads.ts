import type { ThreadName, ThreadState, ThreadStore, ThreadTurn } from "@tessera/core/internal";
import { byChange, closedThread, openedThread, pageOf } from "./changes.js";

interface Kept {
  thread: ThreadState;
  readonly turns: ThreadTurn[];
}

/** Threads in memory. */
export function memoryThreads(): ThreadStore {
  const owners = new Map<string, Map<string, Kept>>();
  const of = (owner: string): Map<string, Kept> => owners.get(owner) ?? new Map();
  const find = ({ owner, id }: ThreadName) => of(owner).get(id);
  const remove = ({ owner, id }: ThreadName): boolean => {
    const gone = of(owner).delete(id);
    if (of(owner).size === 0) owners.delete(owner);
    return gone;
  };
  return {
    async open(name, hold, { instead, again } = {}) {
      const known = find(name);
      if (again && known?.turns.some(({ run }) => run === hold.run)) return { how: "ended", thread: known.thread };
      const opened = openedThread(known?.thread, name, hold, instead);
      if (known) known.thread = opened.thread;
      else owners.set(name.owner, of(name.owner).set(name.id, { thread: opened.thread, turns: [] }));
      return opened;
    },
    async close(name, run, end) {
      const known = find(name);
      if (!known) return;
      if (known.thread.open?.run !== run) {
        const place = known.turns.findLastIndex((turn) => turn.run === run);
        if (end && place >= 0) known.turns[place] = end.turn;
        return;
      }
      const thread = closedThread(known.thread, end);
      if (!thread) return void remove(name);
      known.thread = thread;
      if (end) known.turns.push(end.turn);
    },
    get: async (name) => find(name)?.thread,
    async turns(name, { limit, before = Number.POSITIVE_INFINITY }) {
      const turns = find(name)?.turns ?? [];
      const end = Math.min(before, turns.length);
      return turns.slice(Math.max(0, end - limit), end);
    },
    async list({ owner, ...page }) {
      return pageOf([...of(owner).values()].map(({ thread }) => thread).sort(byChange), page);
    },
    count: async (owner) => of(owner).size,
    remove: async (name) => remove(name),
  };
}
