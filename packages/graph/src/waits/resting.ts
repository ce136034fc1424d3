import { dateOf, type JournalEntry } from "@tessera/core/internal";
import type { Journal } from "../journal.js";
import type { Row } from "../program.js";
import type { Run } from "../run.js";
import type { Scope } from "../scope.js";
import { answeredRow, endedEntry, inOrder, pathOfSignal, signalAt, type Wait, waitOf } from "./entries.js";
import type { Life } from "./life.js";

/** Whatever works in a run. */
interface Worker {
  readonly scope: Scope;
}

/** A step that waits. */
export interface WaitingStep extends Worker {
  /** The activation that waits. */
  readonly worker: Worker;
  readonly path: string;
  /** Its path in the journal. */
  readonly place: string;
  readonly asked: JournalEntry;
  /** What it shows, and what it gives if nobody answers in time. */
  readonly shown: { readonly payload?: unknown; readonly otherwise?: Row };
  /** Ends with an entry that stands. */
  wake(entry: JournalEntry): void;
  /** Ends because its time is over and nothing is assumed. */
  timeOut(): void;
  failed(thrown: unknown): void;
}

/**
 * What a run that may wait keeps besides: who works, which steps wait, and what came from outside. When nobody works any
 * more and some step waits, the run comes to rest.
 */
export class Resting {
  private readonly working = new Set<Worker>();
  private readonly open = new Map<string, WaitingStep>();
  private readonly timers = new Map<string, () => void>();
  /** Entries of waits that were ended from outside before this life came to them. */
  private readonly came = new Map<string, JournalEntry>();
  /** By name, the signals in their order; those that are taken are gone. */
  private readonly signals = new Map<string, JournalEntry[]>();
  /** By the place of whoever took it. */
  private readonly taken = new Map<string, JournalEntry>();
  private looking = false;
  private noted: Promise<void> | undefined;

  constructor(
    private readonly run: Run,
    private readonly journal: Journal,
    private readonly life: Life,
    private readonly flow: string,
  ) {
    this.readMarks();
    life.listen((entry) => this.hear(entry));
  }

  private readMarks(): void {
    const takers = new Map<string, string>();
    const signals: JournalEntry[] = [];
    for (const entry of this.journal.marks())
      if (entry.mark === "taken") takers.set(entry.path.replace(":taken/", ":signal/"), entry.input);
      else signals.push(entry);
    signals.sort((a, b) => signalAt(a.path).number - signalAt(b.path).number);
    for (const signal of signals) {
      const taker = takers.get(signal.path);
      if (taker === undefined) this.keep(signal);
      else this.taken.set(taker, signal);
    }
  }

  private keep(signal: JournalEntry): void {
    const { name } = signalAt(signal.path);
    const kept = this.signals.get(name);
    if (!kept) this.signals.set(name, [signal]);
    else if (!kept.some(({ path }) => path === signal.path)) kept.push(signal);
  }

  /** Notes that somebody begins to work. */
  begins(worker: Worker): void {
    this.working.add(worker);
  }

  /** Notes that somebody has ended. */
  ends(worker: Worker): void {
    this.working.delete(worker);
    this.look();
  }

  /** Takes what came from outside: a signal, or the end of a wait. */
  private hear(entry: JournalEntry): void {
    if (entry.mark === "signal") {
      this.keep(entry);
      const { name } = signalAt(entry.path);
      for (const step of [...this.open.values()]) if (step.asked.wait!.signal === name) this.receive(step, name);
      return;
    }
    const step = this.open.get(entry.path);
    if (step) this.wake(step, entry);
    else this.came.set(entry.path, entry);
  }

  /** Takes a step that waits from now on. The run is kept among those that wait before anybody hears of it. */
  waits(step: WaitingStep): void {
    this.noted ??= this.journal.noteWait({ flow: this.flow, since: step.asked.wait!.since, path: step.place });
    this.noted.then(
      () => step.scope.over || this.opened(step),
      (thrown) => step.failed(thrown),
    );
  }

  private opened(step: WaitingStep): void {
    const { place, asked, scope } = step;
    const { due, signal } = asked.wait!;
    this.open.set(place, step);
    this.ends(step.worker);
    const { run } = this;
    if (run.events)
      run.emit({
        type: "node-wait",
        path: step.path,
        ...(step.shown.payload !== undefined && { payload: step.shown.payload }),
        ...(signal !== undefined && { signal }),
        ...(due !== undefined && { due }),
      });
    const ended = this.came.get(place);
    if (ended) return this.wake(step, ended);
    if (this.journal.replays) return;
    if (signal !== undefined && this.receive(step, signal)) return;
    if (due === undefined) return;
    const left = due - dateOf(run.clock);
    if (left <= 0) return void this.expire(step);
    this.timers.set(
      place,
      run.clock.after(left, () => !scope.over && !run.scope.over && this.expire(step)),
    );
  }

  private close(step: WaitingStep): void {
    this.open.delete(step.place);
    this.timers.get(step.place)?.();
    this.timers.delete(step.place);
    this.begins(step.worker);
  }

  private wake(step: WaitingStep, entry: JournalEntry): void {
    this.close(step);
    step.wake(entry);
  }

  /** The time of a wait is over: what is assumed then, unless somebody has answered meanwhile. */
  private expire(step: WaitingStep): void {
    this.close(step);
    const { otherwise } = step.shown;
    if (!otherwise) return step.timeOut();
    this.end(step, otherwise, { by: "time", at: dateOf(this.run.clock) });
  }

  private end(step: WaitingStep, row: Row, ended: Parameters<typeof endedEntry>[2]): void {
    this.journal.endWait(endedEntry(step.asked, row, ended)).then(
      (entry) => step.scope.over || step.wake(entry),
      (thrown) => step.failed(thrown),
    );
  }

  /** Gives a step the first signal that nobody has taken. It is noted first who takes it. */
  private receive(step: WaitingStep, name: string): boolean {
    const signal = this.taken.get(step.place) ?? this.signals.get(name)?.shift();
    if (!signal) return false;
    this.close(step);
    this.taken.set(step.place, signal);
    const { number } = signalAt(signal.path);
    const take = async () => {
      const mine = await this.journal.take(pathOfSignal(name, number, true), step.place);
      if (step.scope.over) return;
      if (!mine) {
        // another worker on this run gave it to another step
        this.taken.delete(step.place);
        if (!this.receive(step, name)) this.reopen(step);
        return;
      }
      const { value, by } = (await this.journal.output(signal)) as { value?: unknown; by?: string };
      this.end(step, answeredRow(step.asked.wait!, value, by), { by: "signal", at: dateOf(this.run.clock) });
    };
    take().catch((thrown) => step.failed(thrown));
    return true;
  }

  private reopen(step: WaitingStep): void {
    this.open.set(step.place, step);
    this.ends(step.worker);
  }

  /** Looks, when all that happens in this turn has happened, whether anything is left to do. */
  private look(): void {
    if (this.looking) return;
    this.looking = true;
    queueMicrotask(() => {
      this.looking = false;
      this.rest();
    });
  }

  private rest(): void {
    for (const worker of this.working) if (worker.scope.over) this.working.delete(worker);
    for (const [place, { scope }] of this.open) if (scope.over) this.open.delete(place);
    if (this.run.scope.over || this.working.size > 0 || this.open.size === 0) return;
    this.run.rest(this.waiting());
  }

  private waiting(): Wait[] {
    const { run } = this.journal;
    return inOrder([...this.open.values()].map(({ asked, shown }) => waitOf(run, this.flow, asked, shown.payload)));
  }

  /** The run has ended, or come to rest. */
  over(): void {
    this.life.over = true;
    for (const forget of this.timers.values()) forget();
    this.timers.clear();
  }
}
