import type { Json, Principal, Spent } from "@tessera/core";
import type { Budget } from "@tessera/graph";
import type { ErrorBody } from "./errors.js";

export interface RunRequest {
  /** The name of the run. Starting one that is known gives that run. */
  readonly id: string;
  readonly flow: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly principal: Principal;
  readonly budget?: Budget | undefined;
  readonly seed?: number | undefined;
}

/** "interrupted": the process that ran it ended first; `resume` takes it up behind its last finished step. */
export type RunStatus = "running" | "done" | "budget" | "failed" | "cancelled" | "interrupted";

export interface RunState {
  readonly id: string;
  readonly flow: string;
  readonly principal: Principal;
  readonly status: RunStatus;
  readonly input: { readonly [port: string]: Json };
  readonly seed: number;
  /** Of the input; tells whether the same id is asked for with other input. */
  readonly inputHash: string;
  readonly output?: { readonly [port: string]: Json };
  readonly error?: ErrorBody;
  readonly spent?: Spent;
  readonly started: string;
  readonly ended?: string;
}

/** A `FlowEvent` as JSON, numbered within its run from 1, or a part of a flow's own output ("output-delta"). */
export interface RunEvent {
  readonly sequence: number;
  readonly type: string;
  readonly data: Json;
}

/**
 * Where runs live: on this machine (`EmbeddedRuns`), or on PostgreSQL. Whatever it is, a run that was started once runs
 * once, and its state outlives the process where the backend says so.
 */
export interface Runs {
  /**
   * Starts a run; resolves once it is noted. A known id gives its run as it stands, taken up again where it was
   * interrupted.
   * @throws TesseraError CONFLICT where the id is known with another flow, input or principal; BAD_INPUT, CLOSED.
   */
  start(request: RunRequest): Promise<RunState>;
  get(id: string): Promise<RunState | undefined>;
  /** The latest first. */
  list(query: { readonly principal?: string | undefined; readonly limit: number }): Promise<RunState[]>;
  /** @throws TesseraError NOT_FOUND; CONFLICT where it has ended. */
  cancel(id: string): Promise<RunState>;
  /** @throws TesseraError NOT_FOUND; CONFLICT where it runs or has succeeded. */
  resume(id: string): Promise<RunState>;
  /** What happened after the event `after`, and what happens, until the run ends. */
  events(id: string, after?: number): AsyncIterable<RunEvent>;
  /** Waits until a run is no longer running. */
  settled(id: string): Promise<RunState>;
  /** The keys of its finished steps, by path. */
  records(id: string): Promise<Readonly<Record<string, string>>>;
  /** Takes no new runs; those that take longer than `within` milliseconds are left to be resumed. */
  close(within?: number): Promise<void>;
}
