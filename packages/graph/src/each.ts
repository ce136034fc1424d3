// internal
import { type Each, TesseraError as Failure, messageOf, type TesseraError } from "@tessera/core";
import { elementsOf } from "./foreign.js";
import type { Begin, Row } from "./program.js";
import type { Owner, Run } from "./run.js";
import type { Scope } from "./scope.js";

/** A body run once for each element of a list; the outputs are lists in the elements' order. */
class Elements implements Owner {
  private readonly rows: (Row | undefined)[];
  private next = 0;
  private active = 0;
  private left: number;
  private pumping = false;
  private broken = false;
  private readonly began: number;

  constructor(
    private readonly each: Each,
    private readonly ports: readonly string[],
    private readonly body: Begin,
    private readonly run: Run,
    private readonly scope: Scope,
    private readonly path: string,
    private readonly input: Row,
    private readonly list: readonly unknown[],
    private readonly owner: Owner,
    private readonly key: number,
  ) {
    this.rows = new Array(list.length).fill(undefined);
    this.left = list.length;
    this.began = run.events ? run.clock.now() : 0;
  }

  begin(): void {
    if (this.run.events) this.run.emit({ type: "node-start", path: this.path, operator: "each", input: this.input });
    if (this.left === 0) this.close();
    else this.pump();
  }

  private pump(): void {
    if (this.pumping) return;
    this.pumping = true;
    const limit = this.each.concurrency ?? Number.POSITIVE_INFINITY;
    while (this.next < this.list.length && this.active < limit && !this.scope.over) {
      const index = this.next++;
      this.active++;
      const input = { ...this.input, [this.each.over]: this.list[index] };
      this.body(this.run, this.scope, `${this.path}[${index}]`, input, this, index, undefined);
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
    for (const port of this.ports) output[port] = this.rows.map((row) => row?.[port] ?? null);
    if (this.run.events)
      this.run.emit({ type: "node-end", path: this.path, output, ms: this.run.clock.now() - this.began });
    this.owner.ended(this.key, output);
  }

  /** A list that lacks elements is not what its readers expect: what is done goes to the outputs of flows alone. */
  private refuse(): void {
    const { run, path, rows, ports } = this;
    const done = rows.filter((row) => row !== undefined);
    if (run.events)
      run.emit({ type: "warning", path, message: `the budget covered ${done.length} of ${rows.length} elements` });
    if (done.length === 0) return this.owner.refused(this.key);
    const partial = Object.fromEntries(ports.map((port) => [port, done.map((row) => row[port] ?? null)]));
    this.owner.refused(this.key, undefined, partial);
  }
}

/** A body over the elements of a list. */
export const beginEach =
  (each: Each, ports: readonly string[], body: Begin): Begin =>
  (run, scope, path, input, owner, key) => {
    const fail = (code: "BAD_VALUE" | "TOO_MANY_ELEMENTS", message: string, hint?: string, cause?: unknown) => {
      const error = new Failure(code, message, { path, hint, cause });
      if (run.events) run.emit({ type: "node-error", path, error, attempt: scope.attempt });
      owner.failed(key, error);
    };
    let list: ReturnType<typeof elementsOf>;
    try {
      list = elementsOf(input[each.over], each.max);
    } catch (cause) {
      return fail("BAD_VALUE", `the value for "${each.over}" cannot be read: ${messageOf(cause)}`, undefined, cause);
    }
    if (!list) fail("BAD_VALUE", `the value for "${each.over}" is no list`);
    else if (list.length > each.max)
      fail(
        "TOO_MANY_ELEMENTS",
        `"${each.over}" has ${list.length} elements, \`max\` is ${each.max}`,
        "raise `max`, or put list.take before",
      );
    else new Elements(each, ports, body, run, scope, path, input, list.elements, owner, key).begin();
  };
