// internal: onAbort
const followers = new WeakMap<AbortSignal, Set<(reason: unknown) => void>>();

/**
 * Calls `abort` when the signal aborts, at once where it has, and returns what ends that. A signal that many calls share
 * has one listener, whose number does not grow with them: Node warns of a leak beyond ten.
 */
export function onAbort(signal: AbortSignal, abort: (reason: unknown) => void): () => void {
  if (signal.aborted) {
    abort(signal.reason);
    return () => {};
  }
  let all = followers.get(signal);
  if (!all) {
    all = new Set();
    followers.set(signal, all);
  }
  const each = all;
  if (each.size === 0) signal.addEventListener("abort", hear, { once: true });
  each.add(abort);
  return () => {
    each.delete(abort);
    if (each.size === 0) signal.removeEventListener("abort", hear);
  };
}

function hear(this: AbortSignal): void {
  for (const abort of followers.get(this) ?? []) abort(this.reason);
}
