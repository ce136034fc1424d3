// public: ObservedRun, Observation, Observer
import type { FlowDocument, Resource, TesseraError } from "@tessera/core";
import type { FlowEvents } from "./run.js";

/** A run that is about to start. */
export interface ObservedRun {
  /** The run's name in the records, where it has one. */
  readonly id: string | undefined;
  readonly document: FlowDocument;
  /** The content hash of the document. */
  readonly hash: string;
  readonly events: FlowEvents;
}

/** How one run is watched. Nothing that is thrown here reaches the run. */
export interface Observation {
  /** Called once when the run has settled, with what it failed with. */
  ended(failure?: TesseraError): void;
  /** Does the work of the step at a path in surroundings of the observer's: it must call `work` once, and return what it returns. */
  within?<T>(path: string, work: () => T): T;
}

/** Watches every run of the flows that it is given to, also those that are resumed or replayed. It changes none. */
export interface Observer {
  run(run: ObservedRun): Observation;
  /** A resource as flows get it: with the same answers, and watched. */
  resource?<T extends Resource>(kind: string, name: string, resource: T): T;
}
