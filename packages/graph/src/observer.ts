// public: Observation, Observer
// internal: ObservedRun
import type { FlowDocument, Resource, TesseraError } from "@tessera/core";
import type { FlowEvents } from "./run.js";

/** A run that is about to start. */
export interface ObservedRun {
  /** The id of the run in the records, if it has one. */
  readonly id: string | undefined;
  readonly document: FlowDocument;
  /** The content hash of the document. */
  readonly hash: string;
  readonly events: FlowEvents;
}

/** Observes one run. An error that one of its methods throws does not reach the run. */
export interface Observation {
  /** Called once when the run has ended, with the error if it failed. */
  ended(failure?: TesseraError): void;
  /**
   * Executes the work of the step at a path inside a context of the observer. It must call `work` once and return its
   * result.
   */
  within?<T>(path: string, work: () => T): T;
}

/** Observes every run of the flows that it is given to, also resumed and replayed runs. It cannot change a run. */
export interface Observer {
  run(run: ObservedRun): Observation;
  /**
   * Returns the resource that operators receive: it must give the same answers as `resource`, and may observe the
   * calls.
   */
  resource?<T extends Resource>(kind: string, name: string, resource: T): T;
}
