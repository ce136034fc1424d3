import { type Each, TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { elementsOf } from "./foreign.js";
import type { Activation, Activity, Body, Row } from "./program.js";
import type { Owner, Run } from "./run.js";
import type { Scope } from "./scope.js";

interface EachProgram extends Each {
  /** The output ports of the body. */
  readonly ports: readonly string[];
}

/** A body run once for each element of a list; the outputs are lists in the elements' order. */
class Elements implements Owner, Activity {
  private list: readonly unknown[] = [];
  private rows: (Row | undefined)[] = [];
  private next = 0;
  private active = 0;
  private left = 0;
  private pumping = false;
  private broken = false;
  private readonly began: number;
  private readonly run: Run;
  private readonly scope: Scope;
  private readonly path: string;
  private readonly input: Row;
  private readonly owner: Owner;
  private readonly key: number;

  constructor(
    private readonly program: EachProgram,
    private readonly body: Body,
    { run, scope, path, input, owner, key }: Activation,
  ) {
    this.run = run;
    this.scope = scope;
    this.path = path;
    this.input = input;
    this.owner = owner;
    this.key = key;
    this.began = run.events ? run.clock.now() : 0;
  }

  start(): void {
    const list = this.takeList();
    if (!list) return;
    this.list = list;
    this.rows = new Array(list.length).fill(undefined);
    this.left = list.length;
    if (this.run.events) this.run.emit({ type: "node-start", path: this.path, operator: "each", input: this.input });
    if (this.left === 0) this.close();
    else this.pump();
  }

  /** The elements; where there is no list, or too long a one, the activation has failed. */
  private takeList(): readonly unknown[] | undefined {
    const { over, max } = this.program;
    let list: ReturnType<typeof elementsOf>;
    try {
      list = elementsOf(this.input[over], max);
    } catch (cause) {
      return this.refuseList("BAD_VALUE", `the value for "${over}" cannot be read: ${messageOf(cause)}`, { cause });
    }
    if (!list) return this.refuseList("BAD_VALUE", `the value for "${over}" is no list`);
    if (list.length <= max) return list.elements;
    const hint = "raise `max`, or put list.take before";
    return this.refuseList("TOO_MANY_ELEMENTS", `"${over}" has ${list.length} elements, \`max\` is ${max}`, { hint });
  }

  private refuseList(
    code: "BAD_VALUE" | "TOO_MANY_ELEMENTS",
    message: string,
    more: { readonly hint?: string; readonly cause?: unknown } = {},
  ): undefined {
    const { run, path, scope } = this;
    const error = new TesseraError(code, message, { path, ...more });
    if (run.events) run.emit({ type: "node-error", path, error, attempt: scope.attempt });
    this.owner.failed(this.key, error);
  }

  private pump(): void {
    if (this.pumping) return;
    this.pumping = true;
    const limit = this.program.concurrency ?? Number.POSITIVE_INFINITY;
    while (this.next < this.list.length && this.active < limit && !this.scope.over) {
      const index = this.next++;
      this.active++;
      const input = { ...this.input, [this.program.over]: this.list[index] };
      const activity = this.body({
        run: this.run,
        scope: this.scope,
        path: `${this.path}[${index}]`,
        input,
        owner: this,
        key: index,
        feed: undefined,
      });
      activity.start();
    }
    this.pumping = false;
  }

  ended(index: number, output: Row): void {
    this.rows[index] = output;
    this.settle();
  }

  skipped(index: number): void {
    if (this.run.events) this.run.emit({ type: "node-skip", path: `${this.path}[${index}]`, reason: "error", index });
    this.settle();
  }

  refused(): void {
    this.broken = true;
    this.settle();
  }

  failed(_: number, error: TesseraError): void {
    this.owner.failed(this.key, error);
  }

  private settle(): void {
    if (this.scope.over) return;
    this.active--;
    if (--this.left === 0) this.close();
    else this.pump();
  }

  private close(): void {
    if (this.broken) return this.refuse();
    const output: Row = {};
    for (const port of this.program.ports) output[port] = this.rows.map((row) => row?.[port] ?? null);
    if (this.run.events)
      this.run.emit({ type: "node-end", path: this.path, output, ms: this.run.clock.now() - this.began });
    this.owner.ended(this.key, output);
  }

  /** A list that lacks elements is not what its readers expect: what is done goes to the outputs of flows alone. */
  private refuse(): void {
    const { run, path, rows } = this;
    const { ports } = this.program;
    const done = rows.filter((row) => row !== undefined);
    if (run.events)
      run.emit({ type: "warning", path, message: `the budget covered ${done.length} of ${rows.length} elements` });
    if (done.length === 0) return this.owner.refused(this.key);
    const partial = Object.fromEntries(ports.map((port) => [port, done.map((row) => row[port] ?? null)]));
    this.owner.refused(this.key, undefined, partial);
  }
}

/** A body over the elements of a list. */
export const eachBody =
  (program: EachProgram, body: Body): Body =>
  (activation) =>
    new Elements(program, body, activation);
