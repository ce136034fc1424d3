import type { Filter, Json, Principal } from "@tessera/core";
import { accessNames, assertFilter } from "@tessera/core/internal";
import { everybody, fact, token } from "./passage-facts.js";

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
