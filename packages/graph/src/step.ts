import { type Context, type Principal, type Sampling, TesseraError, type WaitRequest } from "@tessera/core";
import { dateOf, type JournalEntry, messageOf, requestOf } from "@tessera/core/internal";
import type { Asking } from "./asking.js";
import { isThenable, located, misfit, portOf } from "./foreign.js";
import type { Feed } from "./gates.js";
import type { Dependencies, Journal, Result } from "./journal.js";
import type { Reservation, ReservingStep } from "./ledger.js";
import { enter, inside, leave, type OuterStep, signalOf, stepOf } from "./outer.js";
import type { Activation, Activity, Body, OperatorProgram, Row } from "./program.js";
import { randomOf } from "./random.js";
import { freezeInput, isOfFrozen } from "./records/freeze.js";
import { hashOf } from "./records/values.js";
import type { Owner, Run } from "./run.js";
import { Scope } from "./scope.js";
import { isPending } from "./waits/entries.js";
import type { WaitingStep } from "./waits/resting.js";

/** What is known of a result beside itself. */
type Working = Pick<Result, "program" | "place" | "before" | "provisional" | "disturbed">;

/** One activation of an operator: its context, and what is done when it ends. */
class Step implements Activity, Context, ReservingStep, OuterStep {
  private began = 0;
  private done = false;
  private draw: (() => number) | undefined;
  private usedRandom = false;
  private held: Reservation | undefined;
  private own: Scope | undefined;
  /** The hash of an input that cannot be frozen, where values are checked. */
  private before: string | undefined;
  private streamed: Set<string> | undefined;
  private asked = false;
  /** How often nobody knew who asks, when the work began. */
  private unknown = 0;

  private readonly run: Run;
  readonly scope: Scope;
  readonly path: string;
  private readonly input: Row;
  private readonly owner: Owner;
  private readonly key: number;
  private readonly feed: Feed | undefined;

  constructor(
    private readonly program: OperatorProgram,
    { run, scope, path, input, owner, key, feed }: Activation,
  ) {
    this.run = run;
    this.scope = scope;
    this.path = path;
    this.input = input;
    this.owner = owner;
    this.key = key;
    this.feed = feed;
  }

  /** Each step that asks has a signal of its own, so that listeners of many steps do not meet on one. */
  get signal(): AbortSignal {
    if (!this.own) {
      this.own = new Scope(this.scope);
      signalOf(this, this.own.signal);
    }
    return this.own.signal;
  }

  get operator(): string {
    return this.program.name;
  }

  get works(): boolean {
    return !this.done && !this.scope.over;
  }

  asks(asking: Asking): boolean {
    if (asking !== this.program.asking) return false;
    this.asked = true;
    return true;
  }

  get askedNothing(): boolean {
    const { asking } = this.program;
    return asking?.isCertain === true && !this.asked && asking.unknown === this.unknown;
  }

  get [stepOf](): OuterStep {
    return this;
  }

  /** What is set aside for it; an operator that declares no bound has one from its first report on. */
  get reservation(): Reservation {
    if (!this.held) {
      this.held = this.run.ledger.open(this);
      this.held.started = true;
      if (this.done) this.held.close("finished");
    }
    return this.held;
  }

  get principal(): Principal | undefined {
    return this.run.principal;
  }

  get idempotencyKey(): string {
    return this.run.idempotencyKey(this.scope.place(this.path));
  }

  get sampling(): Sampling | undefined {
    return this.run.samplingAt(this.path);
  }

  get answered(): NonNullable<Context["answered"]> {
    return (call) => {
      if (this.done || this.scope.over || !this.run.events) return;
      const { input, output, ...counts } = call;
      this.run.emit({ type: "model-end", path: this.path, ...(this.run.prompts ? call : counts) });
    };
  }

  get random(): () => number {
    this.usedRandom = true;
    this.draw ??= randomOf(this.run.seed, this.path);
    return this.draw;
  }

  // getters, so that an operator may take them out of its context
  get emit(): Context["emit"] {
    return (port, delta) => this.send(port, delta);
  }

  get spend(): Context["spend"] {
    return (use) => this.reservation.spend(use);
  }

  private send(port: string, delta: unknown): void {
    if (this.done || this.scope.over) return;
    this.streamed ??= new Set();
    this.streamed.add(port);
    if (this.run.events) this.run.emit({ type: "node-delta", path: this.path, port, delta });
    this.feed?.[port]?.push(delta);
  }

  /** Does the work, and settles in the same turn of the event loop where the operator is synchronous. */
  start(): void {
    const { run } = this;
    const { journal } = run;
    if (journal) return this.startRecorded(journal);
    if (!this.reserve()) return this.owner.refused(this.key);
    this.tellStart();
    if (run.validate && !this.checkInput()) return;
    let output: unknown;
    try {
      output = this.work();
      if (isThenable(output)) {
        const promise = output instanceof Promise ? output : Promise.resolve(output);
        // its own, as `await` does: `then` may have been replaced
        Promise.prototype.then.call(
          promise,
          (value) => this.complete(value),
          (thrown) => this.fail(thrown),
        );
        return;
      }
    } catch (thrown) {
      return this.fail(thrown);
    }
    this.complete(output);
  }

  /** False where the budget does not cover it. */
  private reserve(): boolean {
    const { bound } = this.program;
    if (bound === undefined) return this.run.ledger.admit();
    this.held = this.run.ledger.reserve(this, bound);
    return this.held !== undefined;
  }

  private tellStart(): void {
    const { program, run } = this;
    if (!run.events) return;
    this.began = run.now;
    run.emit({ type: "node-start", path: this.path, operator: program.name, input: this.input });
  }

  /** Takes the result from the journal where the step is finished; what was paid for it is charged already. */
  private startRecorded(journal: Journal): void {
    const { program, run } = this;
    const place = this.scope.place(this.path);
    let entry: JournalEntry | undefined;
    try {
      entry = journal.finished(program, place, this.input);
    } catch (thrown) {
      return this.owner.failed(this.key, located(thrown, this.path));
    }
    if (!entry && !journal.replays && !this.reserve()) return this.owner.refused(this.key);
    run.resting?.begins(this);
    this.tellStart();
    if (run.validate && !this.checkInput()) return;
    const asked = program.waits && !entry ? journal.asked(program, place) : undefined;
    if (asked) return void this.askedBefore(journal, asked);
    if (entry || journal.replays || journal.searches) return void this.recorded(journal, place, entry);
    const before = journal.before(program);
    if (!before) return this.workRecorded(journal, place);
    before.then(
      () => this.scope.over || this.workRecorded(journal, place),
      (thrown) => this.fail(thrown),
    );
  }

  /** Calls the operator: inside this step, and inside what the observer puts around it. */
  private work(): unknown {
    if (this.held) this.held.started = true;
    this.unknown = this.program.asking?.unknown ?? 0;
    this.run.instant = undefined;
    const before = enter(this);
    try {
      if (this.run.follows || this.program.bound !== undefined) return inside(this, () => this.observed());
      return this.run.within ? this.observed() : this.program.work(this.input, this);
    } finally {
      leave(before);
    }
  }

  private observed(): unknown {
    const { within } = this.run;
    if (within) return within(this.path, () => this.program.work(this.input, this));
    return this.program.work(this.input, this);
  }

  /** Finds the result, or works. */
  private async recorded(journal: Journal, place: string, entry: JournalEntry | undefined): Promise<void> {
    try {
      if (entry) return this.found(await journal.output(entry), "journal", entry.streamed);
      if (journal.replays)
        throw new TesseraError("RECORD_MISSING", "the replayed run did not record this step", { path: this.path });
      await journal.before(this.program);
      if (this.scope.over) return;
      const found = await journal.find(this.program, place, this.dependencies(journal, place));
      if (found) return this.found(found.output, found.from, found.streamed);
      if (!this.scope.over) this.workRecorded(journal, place);
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  private dependencies(journal: Journal, place: string): Dependencies {
    return journal.dependencies(this.program, place, this.input, this.run);
  }

  /** Works, and commits. What the result depends on is taken in the turn of the event loop in which the work begins. */
  private workRecorded(journal: Journal, place: string): void {
    try {
      const before = this.dependencies(journal, place);
      const settings = { program: this.program, place, before, provisional: this.run.refusing };
      const working = this.work();
      if (!isThenable(working)) return this.commit(journal, working, { ...settings, disturbed: false });
      const promise = working instanceof Promise ? working : Promise.resolve(working);
      Promise.prototype.then.call(
        promise,
        (given) => this.committing(journal, given, settings),
        (thrown) => this.fail(thrown),
      );
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  private committing(journal: Journal, given: unknown, settings: Omit<Working, "disturbed">): void {
    try {
      const disturbed = settings.before.input !== hashOf(this.input, "input");
      this.commit(journal, given, { ...settings, disturbed });
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  /**
   * Commits what the operator gave, and ends. Where the store says at once what stands, the step ends before its entry is
   * durable: whatever begins behind it, and whoever waits for the run, waits for that.
   */
  private commit(journal: Journal, given: unknown, settings: Working): void {
    if (this.scope.over) return;
    const request = this.program.waits ? requestOf(given) : undefined;
    if (request) return this.ask(journal, request, settings);
    const output = this.take(given);
    if (!output) return;
    // what a run inside did not get to its end is no result to come back to
    if (this.held?.refused) return this.complete(output);
    const charged = this.held?.due ?? nothing;
    // it has ended by itself, whatever happens while its entry is written
    this.held?.close("finished");
    const stands = journal.commit({
      ...settings,
      output,
      streamed: this.streamed && [...this.streamed],
      random: this.usedRandom,
      charged,
    });
    if (!(stands instanceof Promise)) return this.complete(stands);
    stands.then(
      (standing) => this.complete(standing),
      (thrown) => this.fail(thrown),
    );
  }

  /** Keeps what it waits for, and waits. */
  private ask(journal: Journal, request: WaitRequest, settings: Working): void {
    const { payload, otherwise } = request;
    this.held?.close("finished");
    journal.ask({ ...settings, random: this.usedRandom }, request, dateOf(this.run.clock)).then(
      (asked) => this.waitOn(journal, asked, { payload, ...(otherwise && { otherwise }) }),
      (thrown) => this.fail(thrown),
    );
  }

  /** Waits on, where it did so when the last life of the run ended. */
  private async askedBefore(journal: Journal, asked: JournalEntry): Promise<void> {
    try {
      this.waitOn(journal, asked, await journal.output(asked));
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  private waitOn(journal: Journal, asked: JournalEntry, shown: WaitingStep["shown"]): void {
    if (this.scope.over) return;
    const wake = (entry: JournalEntry) => void this.woken(journal, entry);
    if (!isPending(asked)) return wake(asked);
    const { path, scope } = this;
    this.run.resting!.waits({
      worker: this,
      path,
      scope,
      place: asked.path,
      asked,
      shown,
      wake,
      timeOut: () =>
        this.fail(
          new TesseraError("NODE_TIMEOUT", "nobody answered in time", {
            path,
            hint: "`otherwise` says what is assumed then",
          }),
        ),
      failed: (thrown) => this.fail(thrown),
    });
  }

  /** Ends with what its wait came to. */
  private async woken(journal: Journal, entry: JournalEntry): Promise<void> {
    try {
      this.complete(await journal.output(entry));
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  /** Ends with a result that was not computed now. */
  private found(output: Row, from: "journal" | "cache", streamed: readonly string[] = []): void {
    if (this.scope.over) return;
    for (const port of streamed) this.send(port, output[port]);
    this.held?.found();
    this.complete({ ...output }, from);
  }

  /** Ends with what the operator gave, which may be anything; a promise of others may end more than once. */
  private complete(given: unknown, from?: "journal" | "cache"): void {
    if (this.scope.over || this.done) return;
    const output = this.take(given);
    if (!output) return;
    this.settle(this.held?.refused ? "refused" : "finished");
    const { run } = this;
    if (run.events) this.tellEnd(output, from);
    if (this.held?.refused) this.owner.refused(this.key, output);
    else this.owner.ended(this.key, output);
    run.instant = undefined;
  }

  private tellEnd(output: Row, from: "journal" | "cache" | undefined): void {
    const { run, path } = this;
    run.instant = run.clock.now();
    const ms = run.instant - this.began;
    run.emit(from ? { type: "node-end", path, output, ms, from } : { type: "node-end", path, output, ms });
  }

  private fail(thrown: unknown): void {
    if (this.scope.over || this.done) return;
    this.settle("failed");
    const error = located(this.run.validate && isOfFrozen(thrown) ? this.changing(thrown) : thrown, this.path);
    if (this.run.events) this.run.emit({ type: "node-error", path: this.path, error, attempt: this.scope.attempt });
    // what the budget refused to a run inside it, it could not give
    if (this.held?.refused) this.owner.refused(this.key);
    else this.owner.failed(this.key, error);
  }

  private changing(cause: unknown): TesseraError {
    return new TesseraError("NODE_FAILED", `${this.program.name} changed its input: ${messageOf(cause)}`, {
      cause,
      hint: "others read the same value: copy what is to be changed",
    });
  }

  private settle(how: "finished" | "refused" | "failed"): void {
    this.done = true;
    this.held?.close(how);
    this.own?.end();
    this.run.resting?.ends(this);
  }

  /** Freezes the input where it can be; what cannot be is compared after the work. */
  private guardInput(): void {
    if (!freezeInput(this.input, this.program.inputs)) this.before = hashOf(this.input, "input");
  }

  private checkInput(): boolean {
    try {
      this.guardInput();
    } catch (thrown) {
      this.fail(thrown);
      return false;
    }
    for (const { port, schema } of this.program.inputs) {
      const problem = misfit(schema, this.input[port]);
      if (!problem) continue;
      const { message, cause } = problem;
      this.fail(
        new TesseraError("BAD_VALUE", `the value for "${port}" does not fit: ${message}`, { path: this.path, cause }),
      );
      return false;
    }
    return true;
  }

  /** The output ports of what the operator gave, each read once; where that is no output the step has failed. */
  private take(given: unknown): Row | undefined {
    const row: Row = {};
    let problem: string | undefined;
    let cause: unknown;
    try {
      problem = this.read(given as Row, row);
    } catch (thrown) {
      problem = `gave an output that cannot be read: ${messageOf(thrown)}`;
      cause = thrown;
    }
    if (problem === undefined) return row;
    this.fail(new TesseraError("BAD_OUTPUT", `${this.program.name} ${problem}`, { path: this.path, cause }));
    return undefined;
  }

  /** Reads the output ports into a row. @returns what is wrong with them */
  private read(given: Row, row: Row): string | undefined {
    if (typeof given !== "object" || given === null) return "returned no object of output ports";
    if (this.before !== undefined && this.before !== hashOf(this.input, "input")) return "changed its input";
    for (const { port, optional, schema, inherited } of this.program.outputs) {
      const value = inherited ? portOf(given, port, inherited) : given[port];
      if (value === undefined) {
        if (!optional) return `left its output "${port}" empty`;
        if (inherited) row[port] = undefined;
        continue;
      }
      const problem = this.run.validate ? misfit(schema, value) : undefined;
      if (problem) return `gave a wrong "${port}": ${problem.message}`;
      row[port] = value;
    }
    return undefined;
  }
}

const nothing = { calls: 0, tokens: 0, layers: 0, cost: 0 };

/** An operator as a body. */
export const operatorBody =
  (program: OperatorProgram): Body =>
  (activation) =>
    new Step(program, activation);
