// public: Budget, FlowEvents, RunResult
import { randomUUID } from "node:crypto";
import { type Clock, type FlowEvent, type Principal, type Sampling, type Spent, TesseraError } from "@tessera/core";
import { maskSecrets, systemClock } from "@tessera/core/internal";
import type { EventEmitter } from "eventemitter3";
import type { Audience } from "./audience.js";
import type { Feed, OutputGates } from "./gates.js";
import type { Journal } from "./journal.js";
import { Ledger, type LedgerSettings } from "./ledger.js";
import type { Observation } from "./observer.js";
import { isInside } from "./outer.js";
import type { Row } from "./program.js";
import { Scope } from "./scope.js";
import type { Wait } from "./waits/entries.js";
import type { Life } from "./waits/life.js";
import { Resting } from "./waits/resting.js";

/** The events of a run, by their type; "event" is every event. */
export type FlowEvents = EventEmitter<
  { [T in FlowEvent["type"]]: (event: Extract<FlowEvent, { type: T }>) => void } & { event: (event: FlowEvent) => void }
>;

export type { Budget, StepCharge } from "./ledger.js";

/** How a run ended. */
export interface RunResult<O = Record<string, unknown>> {
  /**
   * "budget" if a step was refused because its bound did not fit into the budget; "waiting" if nothing is left to do before
   * somebody answers, a signal comes, or a time is over. A run that waits is in its records and nowhere else.
   */
  readonly status: "done" | "budget" | "waiting";
  /** With "budget", only what was reached; with "waiting" nothing. */
  readonly output: O;
  readonly spent: Spent;
  /** With "waiting": what it waits for. */
  readonly waits?: readonly Wait[];
}

/** Hears how an activation ends; `key` tells activations of one owner apart. */
export interface Owner {
  ended(key: number, output: Row): void;
  failed(key: number, error: TesseraError): void;
  /** Left out for an error, by policy. */
  skipped(key: number): void;
  /**
   * Not run, or not run to its end, because the budget is used up.
   * @param reached what is whole, for its readers
   * @param partial lists that lack elements, for the outputs of flows alone
   */
  refused(key: number, reached?: Row, partial?: Row): void;
}

/** An activation of a flow, as the queue sees it. */
export interface Startable {
  startNode(index: number): void;
  /** Called where `startNode` threw. */
  startFailed(index: number, thrown: unknown): void;
}

const compactAt = 1024;

interface RunSettings extends LedgerSettings {
  /** What names the run in idempotency keys; by default a name of its own. */
  readonly name?: string | undefined;
  readonly principal?: Principal | undefined;
  readonly sampling?: Sampling | undefined;
  /** Whether events hold the prompts and the answers of language models. */
  readonly prompts?: boolean | undefined;
  readonly seed: number;
  /** Who hears of it; an event is made only where somebody listens. */
  readonly audience?: Audience | undefined;
  readonly gates?: OutputGates | undefined;
  readonly journal?: Journal | undefined;
  readonly within?: Observation["within"] | undefined;
  /** Whether every value is checked, not only those on wires of unequal types. */
  readonly validate: boolean;
  readonly clock?: Clock | undefined;
  /** Of a flow that may wait: the life of the run, and the flow's name. */
  readonly waits?: { readonly life: Life; readonly flow: string } | undefined;
}

/** One run: what it may spend, who watches it, and the queue of what is ready. */
export class Run implements Owner {
  readonly scope = new Scope();
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly principal: Principal | undefined;
  private readonly sampling: Sampling | undefined;
  readonly prompts: boolean;
  readonly seed: number;
  readonly journal: Journal | undefined;
  readonly validate: boolean;
  readonly within: Observation["within"] | undefined;
  readonly feed: Feed | undefined;
  /** Of a flow that may wait: who works and who waits. */
  readonly resting: Resting | undefined;
  /** Whether a run that an operator of it starts after an `await` must be found to be inside its step. */
  readonly follows: boolean;
  private readonly audience: Audience | undefined;
  private warned: Set<string> | undefined;
  private name: string | undefined;
  // the queue of what is ready: from `head` to `tail`; its lists keep their length, which costs less than to make them anew
  private readonly frames: (Startable | undefined)[] = [];
  private readonly indexes: number[] = [];
  private head = 0;
  private tail = 0;
  private draining = false;
  /** The time, while what ended just now is being told and what waited for it begins; reading the clock costs as much as a step. */
  instant: number | undefined;
  private resolve!: (result: RunResult) => void;
  private reject!: (error: TesseraError) => void;
  readonly result = new Promise<RunResult>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });

  constructor(settings: RunSettings) {
    this.name = settings.name;
    this.ledger = new Ledger(settings, this);
    this.clock = settings.clock ?? systemClock;
    this.principal = settings.principal;
    this.sampling = settings.sampling;
    this.prompts = settings.prompts ?? false;
    this.seed = settings.seed;
    this.audience = settings.audience;
    this.journal = settings.journal;
    this.validate = settings.validate;
    this.within = settings.within;
    this.feed = settings.gates?.feed;
    const { waits, journal } = settings;
    this.resting = waits && journal && new Resting(this, journal, waits.life, waits.flow);
    this.follows = this.ledger.isLimited || this.journal !== undefined || isInside();
  }

  /** Whether the budget has refused a step: what begins now may do without its result. */
  get refusing(): boolean {
    return this.ledger.refused;
  }

  /** Names an activation of this run, and no other of any run. */
  idempotencyKey(place: string): string {
    this.name ??= randomUUID();
    return `${this.name}:${place}`;
  }

  /** What whoever started the run asks of the language models of an activation. */
  samplingAt(path: string): Sampling | undefined {
    const { paths } = this.sampling ?? {};
    const isInside = (node: string) =>
      path === node || (path.startsWith(node) && ["/", "#", "[", "!"].includes(path[node.length]!));
    return !paths || paths.some(isInside) ? this.sampling : undefined;
  }

  /** Notes that a node of an activation is ready. */
  ready(frame: Startable, index: number): void {
    this.frames[this.tail] = frame;
    this.indexes[this.tail++] = index;
  }

  /** Runs what is ready, and what becomes ready by it, without recursion. */
  drain(): void {
    if (this.draining) return;
    this.draining = true;
    while (this.head < this.tail && !this.scope.over) {
      const frame = this.frames[this.head]!;
      const index = this.indexes[this.head]!;
      this.frames[this.head++] = undefined; // so that it can be collected
      if (this.head === this.tail || this.head === compactAt) this.compact();
      try {
        frame.startNode(index);
      } catch (thrown) {
        frame.startFailed(index, thrown);
      }
    }
    if (this.head < this.tail) this.frames.length = this.head = this.tail = 0;
    this.draining = false;
  }

  /** Takes what has been run out of the queue. */
  private compact(): void {
    if (this.head < this.tail) {
      this.frames.splice(0, this.head);
      this.indexes.splice(0, this.head);
    }
    this.tail -= this.head;
    this.head = 0;
  }

  /** Whether anybody would hear an event that is made now. */
  get events(): boolean {
    return this.audience?.listens ?? false;
  }

  /** When what begins now began. */
  get now(): number {
    return this.instant ?? this.clock.now();
  }

  emit(event: FlowEvent): void {
    this.audience?.tell(event);
  }

  /**
   * Tells the user what changes no run and he should know.
   * @param about of several warnings about one thing in a run, the process is told of the first
   */
  warn(path: string, message: string, about: string): void {
    this.emit({ type: "warning", path, message });
    this.warned ??= new Set();
    if (this.warned.has(about)) return;
    this.warned.add(about);
    process.emitWarning(maskSecrets(`${path}: ${message}`), "TesseraWarning");
  }

  /** Comes to rest: nothing is left to do before what it waits for has come. */
  rest(waits: readonly Wait[]): void {
    if (this.scope.over) return;
    this.scope.end();
    this.ledger.close();
    this.resting?.over();
    this.resolve({ status: "waiting", output: {}, spent: { ...this.ledger.spent }, waits });
  }

  ended(_: number, output: Row): void {
    if (this.scope.over) return;
    this.scope.end();
    this.resting?.over();
    this.ledger.close();
    const { refused, spent } = this.ledger;
    this.resolve({ status: refused ? "budget" : "done", output, spent: { ...spent } });
  }

  failed(_: number, error: TesseraError): void {
    if (this.scope.over) return;
    this.scope.cancel(error);
    this.resting?.over();
    this.ledger.close();
    this.reject(error);
  }

  skipped(): void {
    this.ended(0, {});
  }

  refused(_: number, reached?: Row, partial?: Row): void {
    this.ended(0, { ...reached, ...partial });
  }

  /** Settles the run at once, whatever its nodes do. */
  abort(path: string, reason: unknown): void {
    this.failed(0, new TesseraError("ABORTED", "the run was aborted", { path, cause: reason }));
  }
}
