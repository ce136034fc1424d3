// internal
import { type Context, type JournalEntry, messageOf, type Principal, type Sampling, TesseraError } from "@tessera/core";
import type { Feed } from "./gates.js";
import type { Dependencies, Journal } from "./journal.js";
import type { Reservation, ReservingStep } from "./ledger.js";
import { inside, type OuterStep, signalOf, stepOf } from "./outer.js";
import type { Begin, OperatorProgram, Row } from "./program.js";
import { randomOf } from "./random.js";
import { hashOf } from "./records/values.js";
import type { Owner, Run } from "./run.js";
import { Scope } from "./scope.js";

/** One activation of an operator: its context, and what is done when it ends. */
class Step implements Context, ReservingStep, OuterStep {
  private began = 0;
  private done = false;
  private draw: (() => number) | undefined;
  private usedRandom = false;
  private held: Reservation | undefined;
  private own: Scope | undefined;
  private streamed: Set<string> | undefined;

  constructor(
    private readonly program: OperatorProgram,
    private readonly run: Run,
    readonly scope: Scope,
    readonly path: string,
    private readonly input: Row,
    private readonly owner: Owner,
    private readonly key: number,
    private readonly feed: Feed | undefined,
  ) {}

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

  get [stepOf](): OuterStep {
    return this;
  }

  /** What is set aside for it; an operator that declares no bound has one from its first report on. */
  get reservation(): Reservation {
    if (!this.held) {
      this.held = this.run.ledger.open(this);
      this.held.begun = true;
      if (this.done) this.held.finish("finished");
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
      this.run.emit({ type: "model-end", path: this.path, ...call });
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

  begin(): void {
    const { run } = this;
    const { journal } = run;
    if (journal) return this.beginRecorded(journal);
    if (!this.reserve()) return this.owner.refused(this.key);
    this.started();
    if (run.validate && !this.checkInput()) return;
    this.work();
  }

  /** False where the budget does not cover it. */
  private reserve(): boolean {
    const { bound } = this.program;
    if (bound === undefined) return this.run.ledger.admit();
    this.held = this.run.ledger.reserve(this, bound);
    return this.held !== undefined;
  }

  private started(): void {
    const { program, run } = this;
    if (!run.events) return;
    this.began = run.clock.now();
    run.emit({ type: "node-start", path: this.path, operator: program.name, input: this.input });
  }

  /** Takes the result from the journal where the step is finished; what was paid for it is charged already. */
  private beginRecorded(journal: Journal): void {
    const { program, run } = this;
    const place = this.scope.place(this.path);
    let entry: JournalEntry | undefined;
    try {
      entry = journal.finished(program, place, this.input);
    } catch (thrown) {
      return this.owner.failed(this.key, located(thrown, this.path));
    }
    if (!entry && !journal.replays && !this.reserve()) return this.owner.refused(this.key);
    this.started();
    if (run.validate && !this.checkInput()) return;
    void this.recorded(journal, place, entry);
  }

  /** Does the work, and settles in the same turn of the event loop where the operator is synchronous. */
  private work(): void {
    let output: unknown;
    try {
      output = this.call();
    } catch (thrown) {
      return this.fail(thrown);
    }
    if (isThenable(output))
      output.then(
        (value) => this.finish(value as Row),
        (thrown) => this.fail(thrown),
      );
    else this.finish(output as Row);
  }

  private call(): unknown {
    if (this.held) this.held.begun = true;
    const { within } = this.run;
    if (within) return inside(this, () => within(this.path, () => this.program.work(this.input, this)));
    return inside(this, () => this.program.work(this.input, this));
  }

  /** Finds the result, or works and commits it before the step counts as finished. */
  private async recorded(journal: Journal, place: string, entry: JournalEntry | undefined): Promise<void> {
    try {
      if (entry) return this.found(await journal.output(entry), "journal", entry.streamed);
      if (journal.replays)
        throw new TesseraError("RECORD_MISSING", "the replayed run did not record this step", { path: this.path });
      await journal.charged();
      if (this.scope.over) return;
      if (journal.searches) {
        const found = await journal.find(this.program, place, this.dependencies(journal, place));
        if (found) return this.found(found.output, found.from, found.streamed);
        if (this.scope.over) return;
      }
      await this.worked(journal, place);
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  private dependencies(journal: Journal, place: string): Dependencies {
    return journal.dependencies(this.program, place, this.input, this.run);
  }

  /** Works, and commits. What the result depends on is taken in the turn of the event loop in which the work begins. */
  private async worked(journal: Journal, place: string): Promise<void> {
    const before = this.dependencies(journal, place);
    const provisional = this.run.refusing;
    const working = this.call();
    const output = (await working) as Row;
    if (this.scope.over || !this.checkOutput(output)) return;
    // what a run inside did not get to its end is no result to come back to
    if (this.held?.refused) return this.finish(output);
    const charged = this.held?.due ?? nothing;
    // it has ended by itself, whatever happens while its entry is written
    this.held?.finish("finished");
    const stood = await journal.commit({
      program: this.program,
      place,
      before,
      output,
      streamed: this.streamed && [...this.streamed],
      random: this.usedRandom,
      provisional,
      charged,
      disturbed: isThenable(working) && before.input !== hashOf(this.input, "input"),
    });
    this.finish(stood);
  }

  /** Ends with a result that was not computed now. */
  private found(output: Row, from: "journal" | "cache", streamed: readonly string[] = []): void {
    if (this.scope.over) return;
    for (const port of streamed) this.send(port, output[port]);
    this.held?.found();
    this.finish({ ...output }, from);
  }

  private finish(output: Row, from?: "journal" | "cache"): void {
    if (this.scope.over || !this.checkOutput(output)) return;
    this.settle("finished");
    if (this.run.events)
      this.run.emit({
        type: "node-end",
        path: this.path,
        output,
        ms: this.run.clock.now() - this.began,
        ...(from && { from }),
      });
    if (this.held?.refused) this.owner.refused(this.key, output);
    else this.owner.ended(this.key, output);
  }

  private fail(thrown: unknown): void {
    if (this.scope.over || this.done) return;
    this.settle("failed");
    const error = located(thrown, this.path);
    if (this.run.events) this.run.emit({ type: "node-error", path: this.path, error, attempt: this.scope.attempt });
    // what the budget refused to a run inside it, it could not give
    if (this.held?.refused) this.owner.refused(this.key);
    else this.owner.failed(this.key, error);
  }

  private settle(how: "finished" | "failed"): void {
    this.done = true;
    this.held?.finish(how);
    this.own?.end();
  }

  private checkInput(): boolean {
    for (const { port, schema } of this.program.inputs) {
      const checked = schema.safeParse(this.input[port]);
      if (checked.success) continue;
      this.fail(
        new TesseraError("BAD_VALUE", `the value for "${port}" does not fit: ${checked.error.issues[0]?.message}`, {
          path: this.path,
        }),
      );
      return false;
    }
    return true;
  }

  private checkOutput(output: Row): boolean {
    const problem = this.problemOf(output);
    if (problem === undefined) return true;
    this.fail(new TesseraError("BAD_OUTPUT", `${this.program.name} ${problem}`, { path: this.path }));
    return false;
  }

  private problemOf(output: Row): string | undefined {
    if (typeof output !== "object" || output === null) return "returned no object of output ports";
    for (const { port, optional, schema } of this.program.outputs) {
      if (output[port] === undefined) {
        if (!optional) return `left its output "${port}" empty`;
      } else if (this.run.validate) {
        const checked = schema.safeParse(output[port]);
        if (!checked.success) return `gave a wrong "${port}": ${checked.error.issues[0]?.message}`;
      }
    }
    return undefined;
  }
}

const nothing = { calls: 0, tokens: 0, layers: 0, cost: 0 };

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";

/** What was thrown, as an error with a code and the place. */
export function located(thrown: unknown, path: string): TesseraError {
  if (!TesseraError.is(thrown)) return new TesseraError("NODE_FAILED", messageOf(thrown), { path, cause: thrown });
  return new TesseraError(thrown.code, thrown.message, {
    path,
    hint: thrown.hint,
    cause: thrown,
    findings: thrown.findings,
  });
}

/** An operator as a body. */
export const beginOperator =
  (program: OperatorProgram): Begin =>
  (run, scope, path, input, owner, key, feed) =>
    new Step(program, run, scope, path, input, owner, key, feed).begin();
