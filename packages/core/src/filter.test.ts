import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { accessKey, admits, type Filter, filter, matches, permits } from "./filter.js";
import type { Json, Passage } from "./passage.js";
import type { Principal } from "./resources.js";

const of = (metadata: Passage["metadata"], rest: Partial<Passage> = {}): Passage => ({
  id: "p",
  text: "",
  metadata,
  ...rest,
});

const json = fc.oneof<fc.Arbitrary<Json>[]>(
  fc.constantFrom<Json>("a", "b", 1, 2, true, null),
  fc.constantFrom<Json>(["a"], ["a", 1], [], { x: 1, y: 2 }, { y: 2, x: 1 }, [["a"]]),
);
const field = fc.constantFrom("kind", "size", "path", "symbol", "parent", "missing");
const filters = fc.letrec<{ filter: Filter }>((tie) => ({
  filter: fc.oneof(
    { depthSize: "small" },
    fc.record({ field, equals: json }),
    fc.record({ field, in: fc.array(json, { maxLength: 3 }) }),
    fc.record(
      { field, least: fc.integer({ min: 0, max: 3 }), most: fc.integer({ min: 0, max: 3 }) },
      { requiredKeys: ["field"] },
    ),
    fc.record({ all: fc.array(tie("filter"), { maxLength: 3 }) }),
    fc.record({ any: fc.array(tie("filter"), { maxLength: 3 }) }),
    fc.record({ not: tie("filter") }),
  ),
})).filter;
const passages = fc
  .record(
    {
      kind: json,
      size: json,
      path: fc.constantFrom("a", "b"),
      symbol: fc.constantFrom("a", "b"),
      parent: fc.constant("a"),
    },
    { requiredKeys: [] },
  )
  .map(({ path, symbol, parent, ...metadata }) =>
    of(metadata as Passage["metadata"], {
      ...(path !== undefined && { source: { path, ...(symbol !== undefined && { symbol }) } }),
      ...(parent !== undefined && { parent }),
    }),
  );

/** Deep equality, written out. */
const equal = (a: unknown, b: unknown): boolean =>
  typeof a !== "object" || typeof b !== "object" || a === null || b === null
    ? a === b
    : Array.isArray(a) === Array.isArray(b) &&
      Object.keys(a).length === Object.keys(b).length &&
      Object.entries(a).every(
        ([key, part]) => Object.hasOwn(b, key) && equal(part, (b as Record<string, unknown>)[key]),
      );

/** The naive twin: the set of values that a field has, and the filter's words read one by one. */
function twin(passage: Passage, condition: Filter): boolean {
  if ("not" in condition) return !twin(passage, condition.not);
  if ("all" in condition) return condition.all.filter((part) => !twin(passage, part)).length === 0;
  if ("any" in condition) return condition.any.filter((part) => twin(passage, part)).length > 0;
  const place = { path: passage.source?.path, symbol: passage.source?.symbol, parent: passage.parent };
  const value = condition.field in place ? place[condition.field as "path"] : passage.metadata[condition.field];
  if (value === undefined) return false;
  const held = [value, ...(Array.isArray(value) ? value : [])];
  if ("equals" in condition) return held.some((one) => equal(one, condition.equals));
  if ("in" in condition) return condition.in.some((wanted) => held.some((one) => equal(one, wanted)));
  const { least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY } = condition;
  return typeof value === "number" && least <= value && value <= most;
}

describe("a filter", () => {
  it("means what its naive twin means", () => {
    fc.assert(
      fc.property(passages, filters, (passage, condition) => {
        expect(matches(passage, condition)).toBe(twin(passage, condition));
      }),
      { numRuns: 2000 },
    );
  });

  it("obeys De Morgan, and is what its schema accepts", () => {
    fc.assert(
      fc.property(passages, filters, filters, (passage, a, b) => {
        expect(matches(passage, { not: { all: [a, b] } })).toBe(matches(passage, { any: [{ not: a }, { not: b }] }));
        expect(filter.parse(JSON.parse(JSON.stringify(a)))).toEqual(JSON.parse(JSON.stringify(a)));
      }),
    );
  });

  // a regression: objects were compared by their spelling
  it("compares objects whatever the order of their keys", () => {
    expect(matches(of({ kind: { x: 1, y: 2 } }), { field: "kind", equals: { y: 2, x: 1 } })).toBe(true);
  });

  it("never reads what a passage inherits", () => {
    for (const name of ["constructor", "toString", "__proto__", "hasOwnProperty"])
      expect(matches(of({}), { field: name, in: [null, {}, ""] })).toBe(false);
  });

  it("reads the id of a passage", () => {
    expect(matches(of({ id: "other" }), { field: "id", equals: "p" })).toBe(true);
  });
});

describe("access", () => {
  const ids = fc.constantFrom("ann", "bob", "team", "all");
  const principals = fc.option(
    fc.record({ id: ids, groups: fc.array(ids, { maxLength: 2 }) }, { requiredKeys: ["id"] }),
    { nil: undefined },
  );

  it("is open without a list, and else only to those who stand in it", () => {
    fc.assert(
      fc.property(fc.option(fc.array(ids, { maxLength: 3 }), { nil: undefined }), principals, (access, principal) => {
        const names = principal ? [principal.id, ...(principal.groups ?? [])] : [];
        const open = access === undefined || names.some((name) => access.some((one) => one === name));
        expect(permits(of(access ? { [accessKey]: access } : {}), principal as Principal | undefined)).toBe(open);
      }),
    );
  });

  it.each<[string, Json]>([
    ["a text", "ann"],
    ["an object", { ann: true }],
    ["null", null],
    ["a number", 1],
    ["true", true],
    ["a list in a list", [["ann"]]],
    ["an empty list", []],
  ])("a damaged list (%s) admits nobody", (_, access) => {
    expect(permits(of({ [accessKey]: access }), { id: "ann", groups: ["ann"] })).toBe(false);
  });

  // H3 and E-40 of the fault book: who is called as a group is was admitted as the group
  it("names a principal or a group apart by its mark, whatever they are called", () => {
    const name = fc.constantFrom("staff", "ann", "group:staff", "principal:ann", "");
    fc.assert(
      fc.property(name, fc.array(name, { maxLength: 2 }), name, (id, groups, wanted) => {
        const seen = (entry: string) => permits(of({ [accessKey]: [entry] }), { id, groups });
        expect(seen(`principal:${wanted}`)).toBe(id === wanted);
        expect(seen(`group:${wanted}`)).toBe(groups.includes(wanted));
      }),
    );
  });

  it("cannot be widened by a filter", () => {
    fc.assert(
      fc.property(filters, principals, (condition, principal) => {
        const secret = of({ [accessKey]: ["carol"], kind: "a" });
        expect(admits(secret, condition, principal as Principal | undefined)).toBe(false);
        const open = of({ kind: "a" });
        expect(admits(open, condition, principal as Principal | undefined)).toBe(matches(open, condition));
      }),
    );
  });
});
