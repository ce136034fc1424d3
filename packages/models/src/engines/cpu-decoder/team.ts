/** What threads share that compute one step together: how many have arrived at the barrier, and how often all had. */
export type TeamCells = Int32Array<SharedArrayBuffer>;

export const teamCells = (): TeamCells => new Int32Array(new SharedArrayBuffer(8));

/** Looks at the barrier before a thread goes to sleep: some tens of microseconds, about what waking it takes. */
const looks = 2000;
/** Milliseconds after which a sleeping thread asks whether the step was stopped. */
const nap = 50;

/** One of the threads that compute a step together. Every member must come to every barrier. */
export class TeamMember {
  constructor(
    readonly rank: number,
    readonly size: number,
    private readonly cells: TeamCells,
    private readonly stopped: () => boolean,
    private readonly stop: () => Error,
  ) {}

  /**
   * Returns when all members have called it. Looks for a moment, then sleeps: a thread whose others have no processor leaves its
   * own to them.
   * @throws what `stop` makes, where the step was stopped
   */
  meet(): void {
    const { cells } = this;
    const round = Atomics.load(cells, 1);
    if (Atomics.add(cells, 0, 1) === this.size - 1) {
      Atomics.store(cells, 0, 0);
      Atomics.add(cells, 1, 1);
      Atomics.notify(cells, 1);
      return;
    }
    for (let look = 0; look < looks; look++) if (Atomics.load(cells, 1) !== round) return;
    while (Atomics.load(cells, 1) === round) {
      if (this.stopped()) throw this.stop();
      Atomics.wait(cells, 1, round, nap);
    }
  }

  /** The part of `count` things that is this member's. */
  part(count: number): { readonly from: number; readonly to: number } {
    return { from: Math.floor((count * this.rank) / this.size), to: Math.floor((count * (this.rank + 1)) / this.size) };
  }
}
