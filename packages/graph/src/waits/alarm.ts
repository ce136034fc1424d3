// internal: Alarm
import { type Clock, TesseraError } from "@tessera/core";
import { dateOf, systemClock, type WaitNotes, warn } from "@tessera/core/internal";

const most = 64; // runs that are woken at the same time

/** Wakes runs when they are due, and at its start those that a process left that died. No run is loaded before. */
export class Alarm {
  private readonly awake = new Set<string>();
  /** Runs that could not be taken up; others may do it. */
  private readonly stuck = new Set<string>();
  private at = Number.POSITIVE_INFINITY;
  private forget: (() => void) | undefined;
  private stopped = false;

  /** @param wake takes a run up, and resolves when it has ended or come to rest */
  constructor(
    private readonly notes: Pick<WaitNotes, "due" | "next" | "left">,
    private readonly wake: (run: string) => Promise<unknown>,
    private readonly clock: Clock = systemClock,
  ) {}

  /** Takes up what was left, and waits for what is due. */
  async start(): Promise<void> {
    for (const run of await this.notes.left()) this.up(run);
    await this.look();
  }

  /** Hears from records what is due, and starts; once, however often it is called. */
  startFor(records: { onDue: ((due: number) => void) | undefined }): void {
    if (records.onDue) return;
    records.onDue = (due) => this.hear(due);
    this.start().catch((thrown) => warn("runs that wait are not woken", thrown));
  }

  /** Hears that some run will be due at a moment (milliseconds since 1970). */
  hear(due: number): void {
    if (due < this.at) this.set(due);
  }

  private set(at: number | undefined): void {
    this.forget?.();
    this.at = at ?? Number.POSITIVE_INFINITY;
    if (this.stopped || at === undefined) return;
    const left = Math.max(1, at - dateOf(this.clock));
    this.forget = this.clock.after(left, () => void this.look().catch((thrown) => warn("no run is woken", thrown)), {
      background: true,
    });
  }

  private async look(): Promise<void> {
    this.at = Number.POSITIVE_INFINITY;
    const room = most - this.awake.size;
    const due = await this.notes.due(dateOf(this.clock), this.awake.size + this.stuck.size + Math.max(0, room));
    const fresh = due.filter((run) => !this.awake.has(run) && !this.stuck.has(run)).slice(0, room);
    for (const run of fresh) this.up(run);
    // while something is awake, its end is when to look again; one that is stuck must not be looked at all the time
    if (this.awake.size > 0 && due.length > 0) return;
    const next = await this.notes.next();
    const soon = dateOf(this.clock) + 60_000;
    if (next !== undefined && next < this.at) this.set(due.length > 0 ? Math.max(next, soon) : next);
  }

  private up(run: string): void {
    if (this.stopped || this.awake.has(run)) return;
    this.awake.add(run);
    this.wake(run)
      .catch((thrown) => this.failed(run, thrown))
      .finally(() => {
        this.awake.delete(run);
        if (!this.stopped) return this.look().catch((thrown) => warn("no run is woken", thrown));
      });
  }

  private failed(run: string, thrown: unknown): void {
    this.stuck.add(run);
    const code = TesseraError.is(thrown) ? thrown.code : undefined;
    // another process has the records, or this one closes; a run that fails says so in its own end
    if (code !== "INDEX_LOCKED" && code !== "CLOSED" && code !== "ABORTED") warn(`the run ${run} was woken`, thrown);
  }

  stop(): void {
    this.stopped = true;
    this.forget?.();
  }
}
