// internal
import { messageOf, TesseraError } from "@tessera/core";
import type { z } from "zod";
import type { Row } from "./program.js";

// The engine calls what others wrote: schemas, getters of values, promises, listeners, observers, stores. Whatever these
// throw or give is taken here, so that the rest of the engine meets only values it has looked at and `TesseraError`s.

/** What was thrown, as an error with a code and the place. */
export function located(thrown: unknown, path: string): TesseraError {
  if (TesseraError.is(thrown))
    try {
      const { code, message, hint, findings, retryAfterMs } = thrown;
      return new TesseraError(code, message, { path, hint, findings, retryAfterMs, cause: thrown });
    } catch {
      // it only looked like one
    }
  return new TesseraError("NODE_FAILED", messageOf(thrown), { path, cause: thrown });
}

/** Why a value does not fit a schema. */
export interface Misfit {
  readonly message: string;
  /** Where in the value. */
  readonly place: readonly string[];
  readonly cause?: unknown;
}

/** Why a value does not fit a schema; undefined where it does. A value whose check throws does not fit. */
export function misfit(schema: z.ZodType, value: unknown): Misfit | undefined {
  try {
    const { success, error } = schema.safeParse(value);
    if (success) return undefined;
    const [issue] = error.issues;
    return { message: `${issue?.message}`, place: (issue?.path ?? []).map(String) };
  } catch (cause) {
    return { message: `its check failed: ${messageOf(cause)}`, place: [], cause };
  }
}

/** What every object has without owning it: a port of such a name is read only where the object owns it. */
const inherited = Object.prototype as unknown as Row;

export const isInherited = (port: string): boolean => port in inherited;

/** The value of a port of an object that somebody else made. */
export const valueAt = (row: Row, port: string): unknown => {
  const value = row[port];
  return value !== undefined && port in inherited && !Object.hasOwn(row, port) && value === inherited[port]
    ? undefined
    : value;
};

/** Whether an operator gave a promise, or what acts as one; `then` may throw. */
export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  ((typeof value === "object" && value !== null) || typeof value === "function") &&
  typeof (value as { then?: unknown }).then === "function";

/** Tells the process of what went wrong beside a run. */
export const warn = (what: string, thrown: unknown): void =>
  process.emitWarning(`${what}: ${messageOf(thrown)}`, "TesseraWarning");

/** Calls somebody who only listens; what is thrown, or what a promise is rejected with, becomes a warning. */
export function tell<T>(who: string, call: () => T): T | undefined {
  try {
    const result = call();
    if (isThenable(result)) Promise.resolve(result).then(undefined, (thrown) => warn(`${who} rejected`, thrown));
    return result;
  } catch (thrown) {
    warn(`${who} threw`, thrown);
    return undefined;
  }
}
