import { readFileSync } from "node:fs";
import { percentile } from "./rounds.js";

/** Delays of the event loop in milliseconds. */
export interface LoopDelay {
  readonly p99: number;
  readonly most: number;
  /** The p99 without the time in which the thread could run and other threads had its processor; NaN where unknown. */
  readonly own: number;
  readonly ownMost: number;
  /** The most processor time that the thread took in one turn: what it blocked by itself, on any machine; NaN where unknown. */
  readonly turnMost: number;
  /** The share of the time in which the thread waited for a processor; NaN where unknown. */
  readonly waiting: number;
}

const interval = 1; // ms between looks

/** Milliseconds that the calling thread had a processor, and waited for one, since it began; Linux alone says. */
function scheduled(): { ran: number; waited: number } {
  try {
    const [ran, waited] = readFileSync("/proc/thread-self/schedstat", "utf8").split(" ");
    return { ran: Number(ran) / 1e6, waited: Number(waited) / 1e6 };
  } catch {
    return { ran: Number.NaN, waited: Number.NaN };
  }
}

/** Watches the event loop of the calling thread by a timer that should fire every millisecond; the result ends it. */
export function watchLoop(): () => LoopDelay {
  const delays: number[] = [];
  const own: number[] = [];
  const turns: number[] = [];
  const began = { at: performance.now(), ...scheduled() };
  let last = began;
  const timer = setInterval(() => {
    const now = { at: performance.now(), ...scheduled() };
    const delay = Math.max(0, now.at - last.at - interval);
    delays.push(delay);
    own.push(Math.max(0, delay - (now.waited - last.waited)));
    turns.push(now.ran - last.ran);
    last = now;
  }, interval);
  return () => {
    clearInterval(timer);
    return {
      p99: percentile(delays, 0.99),
      most: percentile(delays, 1),
      own: percentile(own, 0.99),
      ownMost: percentile(own, 1),
      turnMost: percentile(turns, 1),
      waiting: (last.waited - began.waited) / (last.at - began.at),
    };
  };
}
