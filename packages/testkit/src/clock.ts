// public: FakeClock
import type { Clock } from "@tessera/core";

/** A clock that stands until it is told to advance. */
export class FakeClock implements Clock {
  private time = 0;
  private timers: { readonly at: number; readonly run: () => void }[] = [];

  now(): number {
    return this.time;
  }

  /** It stands at the same time, in milliseconds since 1970. */
  date(): number {
    return this.time;
  }

  /** How many timers wait. */
  get waiting(): number {
    return this.timers.length;
  }

  after(milliseconds: number, run: () => void): () => void {
    const timer = { at: this.time + Math.max(0, milliseconds), run };
    if (timer.at < Number.POSITIVE_INFINITY) this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  }

  /** Lets time pass; what falls due runs in its order. */
  advance(milliseconds: number): void {
    const end = this.time + milliseconds;
    while (this.next() <= end) this.step();
    this.time = end;
  }

  /** When the next timer falls due; `Infinity` where none waits. */
  next(): number {
    return this.timers.reduce((least, { at }) => Math.min(least, at), Number.POSITIVE_INFINITY);
  }

  /** Goes on to the next timer and runs it; of several at one time the one that was set first. */
  step(): void {
    const at = this.next();
    const due = this.timers.find((timer) => timer.at === at);
    if (!due) return;
    this.timers = this.timers.filter((other) => other !== due);
    this.time = due.at;
    due.run();
  }
}
