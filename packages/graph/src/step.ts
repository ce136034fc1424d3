// internal
import { type Context, messageOf, type Principal, type Spending, TesseraError } from "@tessera/core";
import type { Feed } from "./gates.js";
import type { Begin, OperatorProgram, Row } from "./program.js";
import { randomOf } from "./random.js";
import type { Owner, Run } from "./run.js";
import type { Scope } from "./scope.js";

const nothing = { calls: 0, tokens: 0 };

/** One activation of an operator: its context, and what is done when it ends. */
class Step implements Context {
  private began = 0;
  private reported = false;
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
    if (!run.reserve(program.bound ?? nothing)) return this.owner.refused(this.key);
    if (run.events) {
      this.began = performance.now();
      run.emit({ type: "node-start", path: this.path, operator: program.name, input: this.input });
    }
    if (run.validate && !this.checkInput()) return;
    if (run.journal) void this.recorded(run.journal);
    else this.work();
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

  /** Takes the result from the journal or the cache, or works and commits the record before the step counts as finished. */
  private async recorded(journal: NonNullable<Run["journal"]>): Promise<void> {
    try {
      const found = await journal.find(this.program, this.path, this.input, this.run);
      if (this.scope.over) return;
      if (found) {
        for (const port of found.record.streamed ?? []) this.send(port, found.record.output[port]);
        if (found.from === "journal" && found.record.spent) this.charge(found.record.spent);
        this.reported = true;
        return this.finish({ ...found.record.output }, found.from);
      }
      const output = (await this.call()) as Row;
      if (this.scope.over || !this.checkOutput(output)) return;
      await journal.commit(this.program, this.path, this.input, this.run, this.usedRandom, {
        output,
        ...(this.streamed && { streamed: [...this.streamed] }),
        spent: this.use,
      });
      this.finish(output);
    } catch (thrown) {
      this.fail(thrown);
    }
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
    if (bound) {
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
