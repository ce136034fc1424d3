import { createHash } from "node:crypto";
import type { Filter, Json, Passage, Principal } from "@tessera/core";
import { accessNames, assertFilter } from "@tessera/core/internal";
import { everybody, fact, factsOf, token } from "./passage-facts.js";

/** The most facts and the most names of an access list that a row can hold: Milvus's limit for an array. */
export const mostFacts = 4096;

// every name in an expression is letters and digits, so that nothing of a user's text is ever parsed as an expression
const hashed = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 32);
const numberKey = (field: string): string => `n${hashed(field)}`;
const listed = (tokens: readonly string[]): string => `[${tokens.map((one) => `"${hashed(one)}"`).join(", ")}]`;

/** What the filters and the principal's condition look at, as columns of a row. */
export function columnsOf(passage: Passage): { facts: string[]; access: string[]; numbers: Record<string, number> } {
  const { facts, numbers, access } = factsOf(passage);
  return {
    facts: facts.map(hashed),
    access: access.map(hashed),
    numbers: Object.fromEntries(Object.entries(numbers).map(([field, value]) => [numberKey(JSON.parse(field)), value])),
  };
}

/** The expression of `admits`: whether a row may be shown. @throws TesseraError BAD_ARGUMENT */
export function admitted(filter: Filter | undefined, principal: Principal | undefined): string {
  const names = [everybody, ...(principal ? accessNames(principal) : []).map(token)];
  const permitted = `array_contains_any(access, ${listed(names)})`;
  if (!filter) return permitted;
  assertFilter(filter);
  return `${permitted} and ${expression(filter, true)}`;
}

/**
 * A filter, or what it does not admit. A negation is carried down to the comparisons, since what Milvus makes of `not` over
 * a number that a row does not have differs between its versions.
 */
function expression(filter: Filter, holds: boolean): string {
  if ("all" in filter) return joined(filter.all, holds, holds);
  if ("any" in filter) return joined(filter.any, !holds, holds);
  if ("not" in filter) return expression(filter.not, !holds);
  if ("equals" in filter) return fields(filter.field, [filter.equals], holds);
  if ("in" in filter) return fields(filter.field, filter.in, holds);
  return range(filter, holds);
}

const always = 'id != ""';
const never = 'id == ""';

function joined(parts: readonly Filter[], every: boolean, holds: boolean): string {
  if (parts.length === 0) return every ? always : never;
  return `(${parts.map((part) => expression(part, holds)).join(every ? " and " : " or ")})`;
}

function fields(field: string, wanted: readonly Json[], holds: boolean): string {
  if (wanted.length === 0) return holds ? never : always;
  const found = `array_contains_any(facts, ${listed(wanted.map((value) => fact(field, value)))})`;
  return holds ? found : `not (${found})`;
}

function range(
  { field, least, most }: { field: string; least?: number | undefined; most?: number | undefined },
  holds: boolean,
): string {
  const value = `numbers["${numberKey(field)}"]`;
  const limits = [
    ...(least === undefined ? [] : [limit(value, holds ? ">=" : "<", least, holds)]),
    ...(most === undefined ? [] : [limit(value, holds ? "<=" : ">", most, holds)]),
  ];
  if (holds) return `(${[`exists ${value}`, ...limits].join(" and ")})`;
  return `(${[`not (exists ${value})`, ...limits.map((one) => `(exists ${value} and ${one})`)].join(" or ")})`;
}

function limit(value: string, operator: ">=" | "<=" | "<" | ">", bound: number, holds: boolean): string {
  // nothing is on either side of what is no number
  if (Number.isNaN(bound)) return holds ? never : always;
  if (Math.abs(bound) === Number.POSITIVE_INFINITY) return bound > 0 === operator.startsWith("<") ? always : never;
  // always with a point, so that it is read as a number of the same kind as the column's
  return `${value} ${operator} ${Number.isInteger(bound) && Math.abs(bound) < 1e15 ? bound.toFixed(1) : bound.toExponential()}`;
}
