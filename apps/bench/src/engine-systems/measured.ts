import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { inNewProcess, memory } from "../measure/process.js";

/** Milliseconds a call takes, as the least of some calls after a warm-up: the rest is the machine's noise. */
export async function least(call: () => Promise<unknown>, calls: number): Promise<number> {
  for (let i = 0; i < Math.max(2, calls / 4); i++) await call();
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < calls; i++) {
    const began = performance.now();
    await call();
    best = Math.min(best, performance.now() - began);
  }
  return best;
}

/** Milliseconds a call takes on average, over as many as fill some time, after a warm-up. */
export async function average(call: () => Promise<unknown>, ms = 300): Promise<number> {
  const until = async (limit: number) => {
    const began = performance.now();
    let calls = 0;
    while (performance.now() - began < limit) {
      await call();
      calls++;
    }
    return (performance.now() - began) / calls;
  };
  await until(ms / 3);
  return until(ms);
}

/** Kilobytes of heap that each of 1,000 runs holds while all of them wait. */
export async function heapOfWaiting(start: (gate: Promise<void>) => Promise<unknown>): Promise<number> {
  const count = 1000;
  const park = async () => {
    let open!: () => void;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const before = memory().heap;
    const runs = Array.from({ length: count }, () => start(gate));
    await new Promise((resolve) => setTimeout(resolve, 200));
    const held = memory().heap - before;
    open();
    await Promise.all(runs);
    return (held * 1000) / count;
  };
  await park();
  return park();
}

/** Milliseconds that an import takes in a new process, without the start of Node. */
export const importTime = (code: string): number =>
  inNewProcess(`const before = performance.now(); ${code}; console.log(performance.now() - before)`);

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Fails the bench where a system did not do what was asked. */
export function expect(given: unknown, wanted: unknown): void {
  if (JSON.stringify(given) !== JSON.stringify(wanted))
    throw new Error(`gave ${JSON.stringify(given)} instead of ${JSON.stringify(wanted)}`);
}

const require = createRequire(new URL("../../peers/package.json", import.meta.url));

/** Where an installed peer is imported from. */
export const peerUrl = (name: string): string => pathToFileURL(require.resolve(name)).href;
