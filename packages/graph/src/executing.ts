import type { FlowEvent, Spent } from "@tessera/core";
import type { Release } from "./claims.js";
import type { OutputGates } from "./gates.js";
import type { Journal } from "./journal.js";
import type { Observation } from "./observer.js";
import type { OuterStep } from "./outer.js";
import type { Row } from "./program.js";
import type { FlowEvents, Run } from "./run.js";
import type { RunOptions } from "./run-options.js";
import type { Turn } from "./threads/turn.js";
import type { Life } from "./waits/life.js";

// what the execution of a run is given

export interface Settings extends RunOptions {
  readonly hear?: ((event: FlowEvent) => void) | undefined;
  readonly gates?: OutputGates | undefined;
  readonly journal?: Journal | undefined;
  /** Is given the run before its first node starts. */
  readonly onRun?: ((run: Run) => void) | undefined;
  readonly name?: string | undefined;
  readonly before?: Spent | undefined;
  /** The step that the run is a part of; null where it is known that there is none. */
  readonly within?: OuterStep | null | undefined;
  /** Of a flow that may wait. */
  readonly life?: Life | undefined;
}

/** A run whose id this process has claimed. */
export interface Claimed {
  readonly release: Release;
  readonly life?: Life | undefined;
  /** Whether an earlier life may have noted that it waits. */
  readonly again: boolean;
}

/** A run that is ready to be executed. */
export interface Prepared {
  readonly journal: Journal;
  readonly input: Row;
  readonly options: Settings;
  /** Of a run on a thread. */
  readonly turn?: Turn | undefined;
}

/** What an observer of a run is told by, and what it gave. */
export interface Watched {
  readonly events: FlowEvents;
  readonly observation: Observation;
}
