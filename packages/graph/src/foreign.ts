import { type Cache, flag, number, type Records, TesseraError, text } from "@tessera/core";
import { type DirectRecords, maskSecrets, messageOf, type ThreadStore, type WaitNotes } from "@tessera/core/internal";
import type { z } from "zod";
import type { Observation } from "./observer.js";
import type { Row } from "./program.js";

// The engine calls what others wrote: schemas, getters of values, promises, listeners, observers, stores. What these throw
// or give is taken here, so that the rest of the engine meets only values that were read once, and `TesseraError`s.

/** What was thrown, as an error with a code and the place. */
export function located(thrown: unknown, path: string, code: "NODE_FAILED" | "STORE_FAILED" = "NODE_FAILED") {
  if (TesseraError.is(thrown))
    try {
      const { code, message, hint, retryAfterMs } = thrown;
      const findings = [...thrown.findings];
      if (typeof code === "string" && typeof message === "string" && findings.every(TesseraError.is))
        return new TesseraError(code, message, { path, hint, findings, retryAfterMs, cause: thrown });
    } catch {
      // it only looked like one
    }
  return new TesseraError(code, messageOf(thrown), { path, cause: thrown });
}

/** Whether it is an error of the engine's own making, which says where it happened. */
export function isOurs(thrown: unknown): thrown is TesseraError {
  try {
    return thrown instanceof TesseraError;
  } catch {
    return false; // a proxy
  }
}

/** Why a value does not fit a schema. */
interface Misfit {
  readonly message: string;
  /** Where in the value. */
  readonly place: readonly string[];
  readonly cause?: unknown;
}

/** Whether a value fits one of the schemas that say no more than its type: these are asked at every step. */
const isPlainly = (schema: z.ZodType, value: unknown): boolean =>
  schema === number
    ? Number.isFinite(value)
    : schema === text
      ? typeof value === "string"
      : schema === flag && typeof value === "boolean";

/** Why a value does not fit a schema; undefined where it does. A value whose check throws does not fit. */
export function misfit(schema: z.ZodType, value: unknown): Misfit | undefined {
  if (isPlainly(schema, value)) return undefined;
  try {
    const { success, error } = schema.safeParse(value);
    if (success) return undefined;
    const [issue] = error.issues;
    return { message: `${issue?.message}`, place: (issue?.path ?? []).map(String) };
  } catch (cause) {
    return { message: `its check failed: ${messageOf(cause)}`, place: [], cause };
  }
}

const everyObject = Object.prototype as unknown as Row;

/**
 * Whether every object has something of this name. Rows have it as a member of their own then, `undefined` where the port
 * is empty, so that nobody reads what objects inherit.
 */
export const isInherited = (port: string): boolean => port in everyObject;

/** A port of an object that somebody else made; what it only inherits from every object is no value. */
export function portOf(row: Row, port: string, inherited: boolean): unknown {
  const value = row[port];
  return inherited && value === everyObject[port] && !Object.hasOwn(row, port) ? undefined : value;
}

/** The elements of a list that somebody else made; more than `most` of them are not read. Undefined where it is no list. */
export function elementsOf(value: unknown, most: number): { length: number; elements: unknown[] } | undefined {
  if (!Array.isArray(value)) return undefined;
  const length = Number(value.length);
  return { length, elements: length > most ? [] : Array.from({ length }, (_, index) => value[index]) };
}

/** Whether an operator gave a promise, or what acts as one; reading `then` may throw. */
export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  ((typeof value === "object" && value !== null) || typeof value === "function") &&
  typeof (value as { then?: unknown }).then === "function";

/** Warns the process of what went wrong beside a run. */
export const warn = (what: string, thrown: unknown): void =>
  process.emitWarning(maskSecrets(`${what}: ${messageOf(thrown)}`), "TesseraWarning");

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

/** An observation whose faults become warnings. Work within it is done once, and its own result counts. */
export function observed(begin: () => Observation): Observation {
  const who = "an observer";
  const observation = tell(who, begin);
  const within = observation && tell(who, () => observation.within);
  return {
    ended: (failure) => void tell(who, () => observation?.ended(failure)),
    ...(within && {
      within: <T>(path: string, work: () => T): T => {
        let outcome: { readonly value: T } | { readonly thrown: unknown } | undefined;
        const once = (): T => {
          if (!outcome)
            try {
              outcome = { value: work() };
            } catch (thrown) {
              outcome = { thrown };
            }
          if ("thrown" in outcome) throw outcome.thrown;
          return outcome.value;
        };
        try {
          const given = within.call(observation, path, once) as unknown;
          const own = outcome && "value" in outcome ? outcome.value : undefined;
          if (given !== own && isThenable(given)) Promise.resolve(given).then(undefined, () => {});
        } catch (thrown) {
          if (!outcome || !("thrown" in outcome) || outcome.thrown !== thrown) warn(`${who} threw`, thrown);
        }
        return once();
      },
    }),
  };
}

const guarded = new WeakMap<object, object>();

/** A store of which every method gives a promise, also where it throws; the same one for the same store. */
function guardedStore<T extends object>(store: T, methods: readonly (keyof T & string)[]): T {
  const known = guarded.get(store);
  if (known) return known as T;
  const made: Record<string, unknown> = {};
  for (const method of methods)
    made[method] = async (...values: unknown[]) => (store[method] as (...values: unknown[]) => unknown)(...values);
  guarded.set(store, made);
  return made as T;
}

const methodsOfRecords = ["begin", "run", "commit", "charge", "journal", "texts", "forget", "get", "put"] as const;

export const methodsOfWaits = ["note", "remove", "get", "list", "due", "next", "left"] as const;

export const methodsOfThreads = ["open", "close", "get", "turns", "list", "count", "remove"] as const;

export function guardedRecords(records: Records): Records {
  const made = guardedStore<Records>(records, methodsOfRecords);
  const { direct, waits, threads } = records;
  if (waits) Object.assign(made, { waits: guardedStore<WaitNotes>(waits, methodsOfWaits) });
  if (threads) Object.assign(made, { threads: guardedStore<ThreadStore>(threads, methodsOfThreads) });
  if (!direct || made.direct) return made;
  /** What throws in place of a promise has failed as one that is rejected. */
  const caught = (call: () => Promise<void> | undefined): Promise<void> | undefined => {
    try {
      return call();
    } catch (thrown) {
      return Promise.reject(thrown);
    }
  };
  return Object.assign(made, {
    direct: {
      begin: (run, texts) => caught(() => direct.begin(run, texts)),
      commit: (run, entry, texts) => caught(() => direct.commit(run, entry, texts)),
    } satisfies DirectRecords,
  });
}

export const guardedCache = (cache: Cache): Cache => guardedStore<Cache>(cache, ["get", "put"] as (keyof Cache)[]);
