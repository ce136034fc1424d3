import { type Repeat, TesseraError } from "@tessera/core";
import { type LoopOutput, messageOf } from "@tessera/core/internal";
import type { z } from "zod";
import { elementsOf, misfit } from "./foreign.js";
import { type Feed, HeldFeed } from "./gates.js";
import type { Activation, Activity, Body, Row } from "./program.js";
import type { Owner, Run } from "./run.js";
import type { Scope } from "./scope.js";

interface RepeatProgram extends Repeat {
  /** The flags of `until`. */
  readonly flags: readonly string[];
  /** Checks what is carried, by input port, where the types are not equal. */
  readonly checks: ReadonlyMap<string, z.ZodType>;
  /** Whether the body takes the number of the turn. */
  readonly counts: boolean;
}

/** A body run again and again; the output is that of the last whole turn. */
class Turns implements Owner, Activity {
  private turn = 0;
  private last: Row | undefined;
  private held: HeldFeed | undefined;
  /** What the last whole turn streamed; it counts only if no later turn is whole. */
  private heldBefore: HeldFeed | undefined;
  private looping = false;
  private again = false;
  private input: Row;
  private readonly began: number;
  private readonly run: Run;
  private readonly scope: Scope;
  private readonly path: string;
  private readonly owner: Owner;
  private readonly key: number;
  private readonly feed: Feed | undefined;

  constructor(
    private readonly program: RepeatProgram,
    private readonly body: Body,
    { run, scope, path, input, owner, key, feed }: Activation,
  ) {
    this.run = run;
    this.scope = scope;
    this.path = path;
    this.owner = owner;
    this.key = key;
    this.feed = feed;
    this.input = input;
    this.began = run.events ? run.clock.now() : 0;
  }

  start(): void {
    if (this.run.events) this.run.emit({ type: "node-start", path: this.path, operator: "repeat", input: this.input });
    this.loop();
  }

  /** Starts the next turn; a body that ends at once asks for another here, without recursion. */
  private loop(): void {
    this.again = true;
    if (this.looping) return;
    this.looping = true;
    while (this.again && !this.scope.over) {
      this.again = false;
      const turn = ++this.turn;
      const input = this.program.counts ? { ...this.input, turn } : this.input;
      this.held = this.feed && new HeldFeed(this.feed);
      const activity = this.body({
        run: this.run,
        scope: this.scope,
        path: `${this.path}#${turn}`,
        input,
        owner: this,
        key: turn,
        feed: this.held?.feed,
      });
      activity.start();
    }
    this.looping = false;
  }

  ended(turn: number, output: Row): void {
    if (this.scope.over) return;
    this.last = output;
    this.heldBefore?.close();
    this.heldBefore = this.held;
    const { flags, while: list, carry, checks, max } = this.program;
    if (flags.some((port) => output[port] === true)) return this.close("until");
    if (list !== undefined)
      try {
        if (elementsOf(output[list], 0)?.length === 0) return this.close("empty");
      } catch (cause) {
        return this.cannot(turn, `"${list}" cannot be read: ${messageOf(cause)}`, cause);
      }
    if (turn >= max) return this.close("max");
    const input = { ...this.input };
    for (const [to, from] of Object.entries(carry)) {
      const value = output[from];
      const check = checks.get(to);
      const problem = check && misfit(check, value);
      if (problem)
        return this.cannot(turn, `"${from}" cannot be carried into "${to}": ${problem.message}`, problem.cause);
      input[to] = value;
    }
    this.input = input;
    this.loop();
  }

  private cannot(turn: number, message: string, cause: unknown): void {
    this.failed(turn, new TesseraError("BAD_VALUE", message, { path: `${this.path}#${turn}`, cause }));
  }

  skipped(turn: number): void {
    this.held?.close();
    if (this.last) this.close("error", turn - 1);
    else this.owner.skipped(this.key);
  }

  /** The turn is not whole: the loop gives the one before, or what was reached where there is none. */
  refused(turn: number, reached?: Row, partial?: Row): void {
    this.held?.close();
    this.last ??= reached;
    if (!this.last) return this.owner.refused(this.key, undefined, partial);
    this.close("budget", turn - 1);
  }

  failed(_: number, error: TesseraError): void {
    this.owner.failed(this.key, error);
  }

  private close(stopReason: LoopOutput["stopReason"], turns = this.turn): void {
    const output: Row = { ...this.last, turns, stopReason };
    this.heldBefore?.open();
    if (this.run.events)
      this.run.emit({ type: "node-end", path: this.path, output, ms: this.run.clock.now() - this.began });
    if (stopReason === "budget") this.owner.refused(this.key, output);
    else this.owner.ended(this.key, output);
  }
}

/** A body in a loop. */
export const repeatBody =
  (program: RepeatProgram, body: Body): Body =>
  (activation) =>
    new Turns(program, body, activation);
