import { readFileSync } from "node:fs";
import { percentile } from "./rounds.js";

/** Delays of the event loop in milliseconds. */
export interface LoopDelay {
  readonly p99: number;
  readonly most: number;
  /** The p99 without the time in which the thread could run and other threads had its processor; NaN where unknown. */
  readonly own: number;
  readonly ownMost: number;
  /** The share of the time in which the thread waited for a processor; NaN where unknown. */
  readonly waiting: number;
}

const interval = 1; // ms between looks

/** Milliseconds that the calling thread waited for a processor since it began; Linux alone says. */
function waited(): number {
  try {
    return Number(readFileSync("/proc/thread-self/schedstat", "utf8").split(" ")[1]) / 1e6;
  } catch {
    return Number.NaN;
  }
}

/** Watches the event loop of the calling thread by a timer that should fire every millisecond; the result ends it. */
export function watchLoop(): () => LoopDelay {
  const delays: number[] = [];
  const own: number[] = [];
  const began = { at: performance.now(), waited: waited() };
  let last = began;
  const timer = setInterval(() => {
    const now = { at: performance.now(), waited: waited() };
    const delay = Math.max(0, now.at - last.at - interval);
    delays.push(delay);
    own.push(Math.max(0, delay - (now.waited - last.waited)));
    last = now;
  }, interval);
  return () => {
    clearInterval(timer);
    return {
      p99: percentile(delays, 0.99),
      most: percentile(delays, 1),
      own: percentile(own, 0.99),
      ownMost: percentile(own, 1),
      waiting: (last.waited - began.waited) / (last.at - began.at),
    };
  };
}
