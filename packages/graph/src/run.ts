import { randomUUID } from "node:crypto";
import {
  type Bound,
  type FlowEvent,
  messageOf,
  type Principal,
  type Spending,
  type Spent,
  TesseraError,
} from "@tessera/core";
import type { EventEmitter } from "eventemitter3";
import type { Feed, OutputGates } from "./gates.js";
import type { Journal } from "./journal.js";
import type { Observation } from "./observer.js";
import type { Row } from "./program.js";
import { Scope } from "./scope.js";

/** A run's events, by type and all together ("event"). */
export type FlowEvents = EventEmitter<
  { [T in FlowEvent["type"]]: (event: Extract<FlowEvent, { type: T }>) => void } & { event: (event: FlowEvent) => void }
>;

/** The most that a run may spend; what is left out is not limited. */
export interface Budget {
  readonly steps?: number | undefined;
  readonly calls?: number | undefined;
  readonly tokens?: number | undefined;
  readonly layers?: number | undefined;
  readonly cost?: number | undefined;
}

export interface RunResult<O = Record<string, unknown>> {
  /** "budget" where something was not run because the budget would not have covered its bound. */
  readonly status: "done" | "budget";
  /** On "budget", what was reached. */
  readonly output: O;
  readonly spent: Spent;
}

/** Hears how an activation ends; `key` tells activations of one owner apart. */
export interface Owner {
  ended(key: number, output: Row): void;
  failed(key: number, error: TesseraError): void;
  /** Left out for an error, by policy. */
  skipped(key: number): void;
  /** Not run, or not run to its end, because the budget is used up. */
  refused(key: number, reached?: Row): void;
}

/** An activation of a flow, as the queue sees it. */
export interface Startable {
  start(index: number): void;
}

const compactAt = 1024;

export interface RunSettings {
  /** What names the run in idempotency keys; by default a name of its own. */
  readonly name?: string | undefined;
  /** What its earlier lives have spent. */
  readonly before?: Spent | undefined;
  readonly budget?: Budget | undefined;
  readonly principal?: Principal | undefined;
  readonly seed: number;
  readonly events?: FlowEvents | undefined;
  readonly gates?: OutputGates | undefined;
  readonly journal?: Journal | undefined;
  readonly within?: Observation["within"] | undefined;
  /** Whether every value is checked, not only those on wires of unequal types. */
  readonly validate: boolean;
}

/** One run: what it may spend, who watches it, and the queue of what is ready. */
export class Run implements Owner {
  readonly scope = new Scope();
  readonly budget: Budget | undefined;
  readonly principal: Principal | undefined;
  readonly seed: number;
  readonly events: FlowEvents | undefined;
  readonly journal: Journal | undefined;
  readonly validate: boolean;
  readonly within: Observation["within"] | undefined;
  readonly feed: Feed | undefined;
  readonly spent = { steps: 0, calls: 0, tokens: 0, layers: 0, cost: 0 };
  private readonly reserved = { calls: 0, tokens: 0, layers: 0 };
  private status: "done" | "budget" = "done";
  private name: string | undefined;
  private readonly frames: Startable[] = [];
  private readonly indexes: number[] = [];
  private draining = false;
  private resolve!: (result: RunResult) => void;
  private reject!: (error: TesseraError) => void;
  readonly result = new Promise<RunResult>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });

  constructor(settings: RunSettings) {
    this.name = settings.name;
    Object.assign(this.spent, settings.before);
    this.budget = settings.budget;
    this.principal = settings.principal;
    this.seed = settings.seed;
    this.events = settings.events;
    this.journal = settings.journal;
    this.validate = settings.validate;
    this.within = settings.within;
    this.feed = settings.gates?.feed;
  }

  /** Whether the budget has refused a step: what begins now may do without its result. */
  get refusing(): boolean {
    return this.status === "budget";
  }

  /** Names an activation of this run, and no other of any run. */
  idempotencyKey(place: string): string {
    this.name ??= randomUUID();
    return `${this.name}:${place}`;
  }

  /** Notes that a node of an activation is ready. */
  ready(frame: Startable, index: number): void {
    this.frames.push(frame);
    this.indexes.push(index);
  }

  /** Runs what is ready, and what becomes ready by it, without recursion. */
  drain(): void {
    if (this.draining) return;
    this.draining = true;
    let head = 0;
    while (head < this.frames.length && !this.scope.over) {
      const frame = this.frames[head]!;
      const index = this.indexes[head++]!;
      if (head === compactAt) {
        this.frames.splice(0, head);
        this.indexes.splice(0, head);
        head = 0;
      }
      frame.start(index);
    }
    this.frames.length = 0;
    this.indexes.length = 0;
    this.draining = false;
  }

  /** Tells the observers. One that throws is reported, and changes nothing. */
  emit(event: FlowEvent): void {
    const { events } = this;
    if (!events) return;
    try {
      events.emit(event.type, event as never);
      events.emit("event", event);
    } catch (thrown) {
      process.emitWarning(`an observer of ${event.type} threw: ${messageOf(thrown)}`, "TesseraWarning");
    }
  }

  /** Sets a bound aside before its step starts; false where the budget does not cover it. */
  reserve({ calls, tokens, layers = 0 }: Bound): boolean {
    const { budget, spent, reserved } = this;
    if (budget) {
      const over = (limit: number | undefined, sum: number) => limit !== undefined && sum > limit;
      if (
        over(budget.steps, spent.steps + 1) ||
        over(budget.calls, spent.calls + reserved.calls + calls) ||
        over(budget.tokens, spent.tokens + reserved.tokens + tokens) ||
        over(budget.layers, spent.layers + reserved.layers + layers) ||
        ((calls > 0 || tokens > 0) && budget.cost !== undefined && spent.cost >= budget.cost)
      ) {
        this.status = "budget";
        return false;
      }
    }
    spent.steps++;
    reserved.calls += calls;
    reserved.tokens += tokens;
    reserved.layers += layers;
    return true;
  }

  /** What is spent so far, with the bounds of what is under way. */
  get spending(): Spent {
    const { spent, reserved } = this;
    return {
      ...spent,
      calls: spent.calls + reserved.calls,
      tokens: spent.tokens + reserved.tokens,
      layers: spent.layers + reserved.layers,
    };
  }

  release({ calls, tokens, layers = 0 }: Bound): void {
    this.reserved.calls -= calls;
    this.reserved.tokens -= tokens;
    this.reserved.layers -= layers;
  }

  spend({ calls = 0, tokens = 0, layers = 0, cost = 0 }: Spending): void {
    this.spent.calls += calls;
    this.spent.tokens += tokens;
    this.spent.layers += layers;
    this.spent.cost += cost;
  }

  ended(_: number, output: Row): void {
    if (this.scope.over) return;
    this.scope.end();
    this.resolve({ status: this.status, output, spent: { ...this.spent } });
  }

  failed(_: number, error: TesseraError): void {
    if (this.scope.over) return;
    this.scope.cancel(error);
    this.reject(error);
  }

  skipped(): void {
    this.ended(0, {});
  }

  refused(_: number, reached: Row = {}): void {
    this.ended(0, reached);
  }

  /** Settles the run at once, whatever its nodes do. */
  abort(path: string, reason: unknown): void {
    this.failed(0, new TesseraError("ABORTED", "the run was aborted", { path, cause: reason }));
  }
}
