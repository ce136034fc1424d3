import { TesseraError } from "@tessera/core";
import type { RunOptions } from "@tessera/graph";
import type { FlowSet } from "./flow-set.js";
import type { InterruptedRun } from "./options.js";

/** A run under way. */
export interface Running extends InterruptedRun {
  readonly result: Promise<unknown>;
  abort(reason: unknown): void;
}

/** A run that was taken in, and begins once the flows are ready. */
export interface AdmittedRun {
  readonly ready: Promise<FlowSet>;
  /** What it begins with. */
  readonly options: RunOptions;
  /** Tells that it is over, or that it could not begin. */
  ended(): void;
}

/** Aborts runs because the service closes, and says which they were. */
export function interruptAll(running: Iterable<Running>, recorded: boolean): InterruptedRun[] {
  const hint = recorded ? "resume(id) takes it up behind its last finished step" : "it may be run again";
  return [...running].map(({ id, flow, abort }) => {
    abort(new TesseraError("CLOSED", "the service closed before the run ended", { path: id, hint }));
    return { id, flow };
  });
}
