// internal: Sliced, atOnce, inSlices
import { setImmediate } from "node:timers/promises";

/** Work in small parts. Between two parts it can wait; no part takes more than about a millisecond of our own code. */
export type Sliced<T> = Generator<void, T, void>;

/** Does all of it at once. */
export function atOnce<T>(work: Sliced<T>): T {
  let step = work.next();
  while (!step.done) step = work.next();
  return step.value;
}

/** How long the event loop is held at a time, in milliseconds. */
const slice = 5;

/** Does it in slices, so that the event loop is never held for long. */
export async function inSlices<T>(work: Sliced<T>): Promise<T> {
  let until = performance.now() + slice;
  let step = work.next();
  while (!step.done) {
    if (performance.now() >= until) {
      await setImmediate();
      until = performance.now() + slice;
    }
    step = work.next();
  }
  return step.value;
}
