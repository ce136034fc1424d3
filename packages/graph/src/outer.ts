import { AsyncLocalStorage } from "node:async_hooks";
import type { Context } from "@tessera/core";
// A circle of types: a step knows what watches its models, which asks what step is at work.
import type { Asking } from "./asking.js";
import type { Reservation } from "./ledger.js";

/** The context of a step, in which another run can be started. */
export interface OuterStep extends Context {
  readonly reservation: Reservation;
  /** Whether it has neither ended nor been given up. */
  readonly works: boolean;
  /** Notes that a resource of an operator was asked. False if the step is not one of that operator. */
  asks(asking: Asking): boolean;
}

/** How a run finds the step that it is started in. */
export interface Inside {
  readonly signal?: AbortSignal | undefined;
  /**
   * The context of the operator that starts the run: what the run spends is then reserved in the run of that operator and
   * counts as reported by it, and the run is aborted with it. Without it the step is known by its `signal`, or else by where
   * the run begins: within the operator's work, also after an `await`. After an `await` that holds where there is something
   * to keep to: the run around it has a budget or records, or the operator declares a bound. "none": a run of its own.
   */
  readonly outer?: Context | "none" | undefined;
}

/** Where the context that an operator is given says which step it is of. */
export const stepOf = Symbol("step");

const bySignal = new WeakMap<AbortSignal, OuterStep>();
let current: OuterStep | undefined;
const works = new AsyncLocalStorage<OuterStep>();
let isUsed = false;

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

/** Does the work of a step: what it starts, also after an `await`, is inside it. Costs some 0.2 µs, and each promise a little. */
export function inside<T>(step: OuterStep, work: () => T): T {
  isUsed = true;
  return works.run(step, work);
}

/** Whether what goes on now is known to be the work of a step, of whatever run. */
export const isInside = (): boolean => isUsed && works.getStore() !== undefined;

export function leave(before: OuterStep | undefined): void {
  current = before;
}

/** The step that a run is started in, if there is one. */
export function outerOf({ signal, outer }: Inside): OuterStep | undefined {
  if (outer === "none") return undefined;
  if (outer) return (outer as { [stepOf]?: OuterStep })[stepOf] ?? bySignal.get(outer.signal);
  return (signal && bySignal.get(signal)) ?? current ?? following();
}

/** The step whose work goes on now, also where it has outlived its step. */
export const stepAtWork = (): OuterStep | undefined => current ?? (isUsed ? works.getStore() : undefined);

/** The step whose work goes on now, if one is known by that. What outlives its step is inside none. */
function following(): OuterStep | undefined {
  const step = isUsed ? works.getStore() : undefined;
  return step?.works ? step : undefined;
}
