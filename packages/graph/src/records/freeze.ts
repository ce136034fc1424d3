// internal
import { messageOf } from "@tessera/core";

const deep = new WeakSet<object>();

/**
 * Freezes a value of a port with all it holds: lists and objects. False where something of it cannot be frozen: bytes, maps,
 * sets, dates.
 */
export function freeze(value: unknown): boolean {
  if (typeof value !== "object" || value === null || deep.has(value)) return true;
  if (ArrayBuffer.isView(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  const isPlain = Array.isArray(value) || prototype === null || Object.hasOwn(prototype, "isPrototypeOf");
  if (!isPlain) return false;
  let whole = true;
  const waiting: object[] = [value];
  const seen = new Set<object>(waiting);
  for (let object = waiting.pop(); object; object = waiting.pop()) {
    Object.freeze(object);
    for (const member of Object.values(object)) {
      if (typeof member !== "object" || member === null || seen.has(member) || deep.has(member)) continue;
      if (Array.isArray(member) || Object.getPrototypeOf(member) === null || isObject(member)) {
        seen.add(member);
        waiting.push(member);
      } else whole = false;
    }
  }
  if (whole) for (const object of seen) deep.add(object);
  return whole;
}

const isObject = (value: object): boolean => Object.hasOwn(Object.getPrototypeOf(value), "isPrototypeOf");

/** Whether an error is what a change of something frozen throws. */
export function isOfFrozen(thrown: unknown): boolean {
  try {
    if (!(thrown instanceof TypeError || (thrown as Error)?.name === "TypeError")) return false;
    return /read only|not extensible|Cannot (delete|add|define|redefine)/.test(messageOf(thrown));
  } catch {
    return false; // what was thrown cannot be looked at
  }
}
