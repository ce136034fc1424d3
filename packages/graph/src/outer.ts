import type { Context } from "@tessera/core";
import type { Reservation } from "./ledger.js";

/** The context of a step, in which another run can be started. */
export interface OuterStep extends Context {
  readonly reservation: Reservation;
}

/** How a run finds the step that it is started in. */
export interface Inside {
  readonly signal?: AbortSignal | undefined;
  /**
   * The context of the operator that starts the run: what the run spends is then reserved in the run of that operator and
   * counts as reported by it, and the run is aborted with it. Without it the step is known by its `signal`, and while the
   * operator has not awaited anything. "none": a run of its own.
   */
  readonly outer?: Context | "none" | undefined;
}

/** Where the context that an operator is given says which step it is of. */
export const stepOf = Symbol("step");

const bySignal = new WeakMap<AbortSignal, OuterStep>();
let current: OuterStep | undefined;

/** Notes that a signal is the own one of a step. */
export function signalOf(step: OuterStep, signal: AbortSignal): void {
  bySignal.set(signal, step);
}

/** Begins the work of a step: what is started before `leave` is inside it. @returns what `leave` takes */
export function enter(step: OuterStep): OuterStep | undefined {
  const before = current;
  current = step;
  return before;
}

export function leave(before: OuterStep | undefined): void {
  current = before;
}

/** The step that a run is started in, if there is one. */
export function outerOf({ signal, outer }: Inside): OuterStep | undefined {
  if (outer === "none") return undefined;
  if (outer) return (outer as { [stepOf]?: OuterStep })[stepOf] ?? bySignal.get(outer.signal);
  return (signal && bySignal.get(signal)) ?? current;
}
