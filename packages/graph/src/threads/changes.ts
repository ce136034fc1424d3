import type { OpenedThread, ThreadEnd, ThreadHold, ThreadName, ThreadState } from "@tessera/core/internal";

/** What becomes of a thread on which a run wants to work. */
export function openedThread(
  before: ThreadState | undefined,
  name: ThreadName,
  hold: ThreadHold,
  instead: string | undefined,
): OpenedThread {
  if (!before) {
    const { since, flow } = hold;
    return { how: "opened", thread: { ...name, started: since, changed: since, turns: 0, flows: [flow], open: hold } };
  }
  const { open, flows } = before;
  if (open?.run === hold.run) return { how: "held", thread: before };
  if (open && open.run !== instead) return { how: "busy", thread: before };
  const known = flows.includes(hold.flow) ? flows : [...flows, hold.flow];
  return { how: "opened", thread: { ...before, open: hold, flows: known } };
}

/** A thread after a run that had it; nothing where it has no turn. */
export function closedThread({ open: _, ...before }: ThreadState, end: ThreadEnd | undefined): ThreadState | undefined {
  if (!end) return before.turns === 0 ? undefined : before;
  const { turn, summary } = end;
  return {
    ...before,
    turns: before.turns + 1,
    changed: Math.max(before.changed, turn.at),
    ...(summary !== undefined && before.turns > 0 && { summary: { text: summary, turns: before.turns } }),
  };
}

/** Threads in the order of a list: the latest change first, then by id. */
export const byChange = (a: Pick<ThreadState, "changed" | "id">, b: Pick<ThreadState, "changed" | "id">): number =>
  b.changed - a.changed || (a.id < b.id ? -1 : 1);

/** One page of what is in order. */
export function pageOf<T extends { readonly id: string }>(
  sorted: readonly T[],
  { limit, after }: { readonly limit: number; readonly after?: string | undefined },
): T[] {
  const from = after === undefined ? 0 : sorted.findIndex(({ id }) => id === after) + 1;
  return after !== undefined && from === 0 ? [] : sorted.slice(from, from + limit);
}
