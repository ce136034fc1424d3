import { messageOf } from "@tessera/core/internal";
import type { Row } from "../program.js";

const deep = new WeakSet<object>();

/**
 * Freezes an input: the row and, once each, what its ports hold. False where something of it cannot be frozen: bytes, maps,
 * sets, dates.
 */
export function freezeInput(input: Row, ports: readonly { readonly port: string }[]): boolean {
  let whole = true;
  for (const { port } of ports) {
    const value = input[port];
    if (typeof value === "object" && value !== null && !freeze(value)) whole = false;
  }
  Object.freeze(input);
  return whole;
}

/** Freezes a value with all it holds, lists and objects; what was frozen before is not looked at again. */
function freeze(value: object): boolean {
  if (deep.has(value)) return true;
  if (!isPlain(value)) return false;
  let whole = true;
  const waiting: object[] = [value];
  const seen = new Set<object>(waiting);
  for (let object = waiting.pop(); object; object = waiting.pop()) {
    Object.freeze(object);
    for (const member of Object.values(object)) {
      if (typeof member !== "object" || member === null || seen.has(member) || deep.has(member)) continue;
      if (isPlain(member)) {
        seen.add(member);
        waiting.push(member);
      } else whole = false;
    }
  }
  if (whole) for (const object of seen) deep.add(object);
  return whole;
}

/** Whether it is a list or an object that no class made; of any realm. */
function isPlain(value: object): boolean {
  if (Array.isArray(value)) return true;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.hasOwn(prototype, "isPrototypeOf");
}

/** Whether an error is what a change of something frozen throws. */
export function isOfFrozen(thrown: unknown): boolean {
  try {
    if (!(thrown instanceof TypeError || (thrown as Error)?.name === "TypeError")) return false;
    return /read only|not extensible|Cannot (delete|add|define|redefine)/.test(messageOf(thrown));
  } catch {
    return false; // what was thrown cannot be looked at
  }
}
