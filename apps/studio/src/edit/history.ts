import { useCallback, useState } from "react";

interface History<T> {
  readonly past: readonly T[];
  readonly now: T;
  readonly future: readonly T[];
}

const longest = 300;

/** A value with its past: what was undone can be done again, until something else is done. */
export function useHistory<T>(first: T) {
  const [{ past, now, future }, setHistory] = useState<History<T>>({ past: [], now: first, future: [] });
  const set = useCallback(
    (next: T) =>
      setHistory((before) =>
        next === before.now ? before : { past: [...before.past, before.now].slice(-longest), now: next, future: [] },
      ),
    [],
  );
  const undo = useCallback(
    () =>
      setHistory(({ past, now, future }) =>
        past.length === 0
          ? { past, now, future }
          : { past: past.slice(0, -1), now: past.at(-1)!, future: [now, ...future] },
      ),
    [],
  );
  const redo = useCallback(
    () =>
      setHistory(({ past, now, future }) =>
        future.length === 0
          ? { past, now, future }
          : { past: [...past, now], now: future[0]!, future: future.slice(1) },
      ),
    [],
  );
  return { now, set, undo, redo, canUndo: past.length > 0, canRedo: future.length > 0 };
}
