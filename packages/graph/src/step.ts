// internal
import {
  type Charge,
  type Context,
  type JournalEntry,
  messageOf,
  type Principal,
  type Spending,
  TesseraError,
} from "@tessera/core";
import type { Feed } from "./gates.js";
import type { Dependencies, Journal } from "./journal.js";
import type { Begin, OperatorProgram, Row } from "./program.js";
import { randomOf } from "./random.js";
import { hashOf } from "./records/values.js";
import type { Owner, Run } from "./run.js";
import type { Scope } from "./scope.js";

const nothing = { calls: 0, tokens: 0 };

/** One activation of an operator: its context, and what is done when it ends. */
class Step implements Context {
  private began = 0;
  private reported = false;
  private reserved = false;
  private done = false;
  private draw: (() => number) | undefined;
  private usedRandom = false;
  private use = { calls: 0, tokens: 0, layers: 0, cost: 0 };
  private streamed: Set<string> | undefined;

  constructor(
    private readonly program: OperatorProgram,
    private readonly run: Run,
    private readonly scope: Scope,
    readonly path: string,
    private readonly input: Row,
    private readonly owner: Owner,
    private readonly key: number,
    private readonly feed: Feed | undefined,
  ) {}

  get signal(): AbortSignal {
    return this.scope.signal;
  }

  get principal(): Principal | undefined {
    return this.run.principal;
  }

  get idempotencyKey(): string {
    return this.run.idempotencyKey(this.scope.place(this.path));
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
    return (use) => this.charge(use);
  }

  private send(port: string, delta: unknown): void {
    if (this.done || this.scope.over) return;
    this.streamed ??= new Set();
    this.streamed.add(port);
    if (this.run.events) this.run.emit({ type: "node-delta", path: this.path, port, delta });
    this.feed?.[port]?.push(delta);
  }

  private charge(use: Spending): void {
    if (this.done || this.scope.over) return;
    this.reported = true;
    this.use.calls += use.calls ?? 0;
    this.use.tokens += use.tokens ?? 0;
    this.use.layers += use.layers ?? 0;
    this.use.cost += use.cost ?? 0;
    this.run.spend(use);
  }

  begin(): void {
    const { program, run } = this;
    const { journal } = run;
    if (journal) return this.beginRecorded(journal);
    if (!run.reserve(program.bound ?? nothing)) return this.owner.refused(this.key);
    this.started();
    if (run.validate && !this.checkInput()) return;
    this.work();
  }

  private started(): void {
    const { program, run } = this;
    if (!run.events) return;
    this.began = performance.now();
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
    if (!entry && !journal.replays) {
      if (!run.reserve(program.bound ?? nothing)) return this.owner.refused(this.key);
      this.reserved = true;
    }
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
    const work = () => this.program.work(this.input, this);
    return this.run.within ? this.run.within(this.path, work) : work();
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
    const stood = await journal.commit({
      program: this.program,
      place,
      before,
      output,
      streamed: this.streamed && [...this.streamed],
      random: this.usedRandom,
      provisional,
      charged: this.due(),
      disturbed: isThenable(working) && before.input !== hashOf(this.input, "input"),
    });
    this.finish(stood);
  }

  /** What is charged if the step finishes now: what it reported, or its bound where it reported nothing. */
  private due(): Charge {
    const { bound } = this.program;
    if (this.reported || !bound) return { ...this.use };
    return { calls: bound.calls, tokens: bound.tokens, layers: bound.layers ?? 0, cost: 0 };
  }

  /** Ends with a result that was not computed now. */
  private found(output: Row, from: "journal" | "cache", streamed: readonly string[] = []): void {
    if (this.scope.over) return;
    for (const port of streamed) this.send(port, output[port]);
    this.reported = true;
    this.finish({ ...output }, from);
  }

  private finish(output: Row, from?: "journal" | "cache"): void {
    if (this.scope.over || !this.checkOutput(output)) return;
    this.settle();
    if (this.run.events)
      this.run.emit({
        type: "node-end",
        path: this.path,
        output,
        ms: performance.now() - this.began,
        ...(from && { from }),
      });
    this.owner.ended(this.key, output);
  }

  private fail(thrown: unknown): void {
    if (this.scope.over || this.done) return;
    this.settle();
    const error = located(thrown, this.path);
    if (this.run.events) this.run.emit({ type: "node-error", path: this.path, error, attempt: this.scope.attempt });
    this.owner.failed(this.key, error);
  }

  /** Gives the reservation back; what was not reported is charged at its bound. */
  private settle(): void {
    const { bound } = this.program;
    if (bound && (this.reserved || !this.run.journal)) {
      this.run.release(bound);
      if (!this.reported) this.charge(bound);
    }
    this.done = true;
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
