// public: TesseraOptions, CloseOptions, InterruptedRun, WaitingQuery
// internal: Delivered
import type { AnyOperator, Cache, Records } from "@tessera/core";
import type { Observer, RunResult } from "@tessera/graph";
import type { AnyFlow } from "./flow-set.js";
import type { Resources } from "./resources.js";

export type Flows = Readonly<Record<string, AnyFlow>>;

/** What became of an answer or a signal that is kept. */
export interface Delivered {
  /** Whether nobody has to take the run up: it is under way, or does not wait for this. */
  readonly goesOn: boolean;
  /** What the run that is under way in this process comes to. */
  readonly result: Promise<RunResult> | undefined;
}

/** What `createTessera` is given. */
export interface TesseraOptions<F extends Flows> {
  /** The flows by name, composed in code or read from JSON. A key is the name of its flow's document. */
  readonly flows: F;
  /**
   * The resources that flows may use, by kind and name: `{ store: { docs: () => openStore() }, model: { … }, encoder: {
   * … } }`.
   */
  readonly resources?: Resources;
  /**
   * Operators that are not in the catalogue, for flows that are read from JSON. A flow composed in code brings its
   * operators.
   */
  readonly operators?: readonly AnyOperator[];
  /** Stores the steps of runs, so that runs can be resumed and replayed. */
  readonly records?: Records;
  readonly cache?: Cache;
  /** Whether every value that passes between nodes is checked against its port. */
  readonly validate?: boolean;
  /** Receives every run and its events, such as `openTelemetry()` of @tessera/telemetry. */
  readonly observer?: Observer;
  /**
   * Takes up a run that is due: it slept, the time of its wait is over, or its process died after it had waited. By
   * default that is `resume`, from `start` on. `false`: nobody does.
   */
  readonly wake?: false | ((run: string) => Promise<unknown>);
}

/** Which waits are listed: those of a run, of a flow, of a principal; of at most `limit` runs, 100 by default. */
export interface WaitingQuery {
  readonly run?: string;
  readonly flow?: string;
  /** The id of the principal of the run. */
  readonly principal?: string;
  readonly limit?: number;
}

/** How a `Tessera` is closed. */
export interface CloseOptions {
  /** How long runs may still take, in milliseconds; by default as long as they need. */
  readonly within?: number;
}

/**
 * A run that was aborted because it did not end in time. With records, `resume(id)` continues it after its last
 * finished step.
 */
export interface InterruptedRun {
  readonly id: string;
  readonly flow: string;
}

/** What a reload puts in the place of what is there. */
export interface Replacement<F extends Flows> {
  /** All flows together; by default they stay. */
  readonly flows?: F;
  /** Resources one by one. */
  readonly resources?: Resources;
  /** Resources to remove, by kind and name. A flow that still names one has a finding. */
  readonly without?: Readonly<Record<string, readonly string[]>>;
}
