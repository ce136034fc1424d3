/** Time as the schedulers see it; tests put their own in its place. */
export interface Clock {
  /** Milliseconds from any fixed point. */
  now(): number;
  /** Runs something later; the result forgets it. */
  after(milliseconds: number, run: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(milliseconds, run) {
    const timer = setTimeout(run, milliseconds);
    return () => clearTimeout(timer);
  },
};
