import { type Json, TesseraError } from "@tessera/core";

// floating point results that differ by rounding alone are equal
const tolerance = 1e-9;

/**
 * Whether two JSON values are equal: numbers within a relative 1e-9, members of objects in any order.
 * Negative zero equals zero, as it does in the languages.
 */
export function equalValues(a: Json, b: Json): boolean {
  if (typeof a === "number" && typeof b === "number")
    return a === b || Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(a), Math.abs(b));
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [left, right] = [Object.keys(a), Object.keys(b)];
  return (
    left.length === right.length &&
    left.every(
      (key) =>
        Object.hasOwn(b, key) && equalValues((a as Record<string, Json>)[key]!, (b as Record<string, Json>)[key]!),
    )
  );
}

/** An identifier of the languages we run, or several joined by dots. */
export const identifierPattern = /^[\p{ID_Start}$_][\p{ID_Continue}$_]*(\.[\p{ID_Start}$_][\p{ID_Continue}$_]*)*$/u;

/** @throws TesseraError BAD_ARGUMENT where the name could not be a function's. */
export function checkEntry(entry: string): string {
  if (!identifierPattern.test(entry))
    throw new TesseraError("BAD_ARGUMENT", `"${entry.slice(0, 60)}" is no function's name`);
  return entry;
}
