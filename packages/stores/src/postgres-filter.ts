import { createHash } from "node:crypto";
import type { Filter, Json, Passage, Principal } from "@tessera/core";
import { accessKey, accessNames, assertFilter, canonicalJson } from "@tessera/core/internal";

const longest = 64; // an index entry of PostgreSQL holds about 2,700 bytes; what is longer is kept by its hash
const everybody = "*"; // never the JSON of a name, which begins with a quote

// JSON writes NUL and lone surrogates, which PostgreSQL cannot keep, as escapes
const token = (value: unknown): string => {
  const text = canonicalJson(value);
  return text.length <= longest ? text : `#${createHash("sha256").update(text).digest("base64")}`;
};

/** That a field holds a value, as one word. */
const fact = (field: string, value: Json): string => token([field, value]);

/** What the filters and the principal's condition look at, of one passage. */
export interface PassageFacts {
  /** Every value that a field holds; of a list also each member. */
  readonly facts: readonly string[];
  /** The fields that are numbers, under their names as JSON. */
  readonly numbers: Readonly<Record<string, number>>;
  /** Who may see it. */
  readonly access: readonly string[];
}

/** What lies in the objects of a passage's metadata, under names with dots that are no keys themselves. */
function nested(metadata: Passage["metadata"]): [string, Json][] {
  const found: [string, Json][] = [];
  const open: [string, Json][] = Object.entries(metadata).filter(([name]) => !name.includes("."));
  for (let next = open.pop(); next; next = open.pop()) {
    const [name, value] = next;
    if (typeof value !== "object" || value === null || Array.isArray(value)) continue;
    for (const [key, inner] of Object.entries(value)) {
      if (key.includes(".")) continue;
      const place = `${name}.${key}`;
      if (!Object.hasOwn(metadata, place)) found.push([place, inner]);
      open.push([place, inner]);
    }
  }
  return found;
}

export function factsOf({ id, source, parent, metadata }: Passage): PassageFacts {
  const own: Record<string, Json | undefined> = { id, path: source?.path, symbol: source?.symbol, parent };
  const fields: [string, Json | undefined][] = [
    ...Object.entries(own),
    ...Object.entries(metadata).filter(([field]) => !Object.hasOwn(own, field)),
    ...nested(metadata),
  ];
  const facts = new Set<string>();
  const numbers: [string, number][] = [];
  for (const [field, value] of fields) {
    if (value === undefined) continue;
    facts.add(fact(field, value));
    if (Array.isArray(value)) for (const member of value) facts.add(fact(field, member));
    if (typeof value === "number") numbers.push([JSON.stringify(field), value]);
  }
  const listed = metadata[accessKey];
  const names = Array.isArray(listed) ? listed.filter((name) => typeof name === "string").map(token) : [];
  return {
    facts: [...facts],
    numbers: Object.fromEntries(numbers),
    access: Object.hasOwn(metadata, accessKey) ? [...new Set(names)] : [everybody],
  };
}

/** Writes conditions whose values are all parameters: `values` holds them in the order of their numbers. */
export class Conditions {
  constructor(readonly values: unknown[] = []) {}

  parameter(value: unknown): string {
    return `$${this.values.push(value)}`;
  }

  /** The SQL of `admits`: whether a row may be shown. Never null, so that `not` fails closed as well. */
  admits(filter: Filter | undefined, principal: Principal | undefined): string {
    const tokens = [everybody, ...(principal ? accessNames(principal) : []).map(token)];
    const permitted = `access && ${this.parameter(tokens)}::text[]`;
    if (filter) assertFilter(filter);
    return filter ? `${permitted} AND ${this.matches(filter)}` : permitted;
  }

  private matches(filter: Filter): string {
    if ("all" in filter) return this.joined(filter.all, " AND ", "TRUE");
    if ("any" in filter) return this.joined(filter.any, " OR ", "FALSE");
    if ("not" in filter) return `NOT ${this.matches(filter.not)}`;
    if ("equals" in filter) return this.holds(filter.field, [filter.equals]);
    if ("in" in filter) return this.holds(filter.field, filter.in);
    const value = `(numbers ->> ${this.parameter(JSON.stringify(filter.field))}::text)::float8`;
    const bounds = [
      `${value} IS NOT NULL`,
      ...(filter.least === undefined ? [] : [this.bound(value, ">=", filter.least)]),
      ...(filter.most === undefined ? [] : [this.bound(value, "<=", filter.most)]),
    ];
    return `coalesce(${bounds.join(" AND ")}, FALSE)`;
  }

  private bound(value: string, operator: ">=" | "<=", limit: number): string {
    // nothing is on either side of what is no number; PostgreSQL would say that everything is below
    return Number.isNaN(limit) ? "FALSE" : `${value} ${operator} ${this.parameter(limit)}::float8`;
  }

  private holds(field: string, wanted: readonly Json[]): string {
    return `facts && ${this.parameter(wanted.map((value) => fact(field, value)))}::text[]`;
  }

  private joined(parts: readonly Filter[], operator: " AND " | " OR ", empty: string): string {
    return parts.length === 0 ? empty : `(${parts.map((part) => this.matches(part)).join(operator)})`;
  }
}
