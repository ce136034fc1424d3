import { describe, expect, it } from "@jest/globals";
import type { Filter, Json, Passage } from "@tessera/core";
import { matches } from "@tessera/core/internal";
import fc from "fast-check";
import { factsOf } from "./passage-facts.js";
import { Conditions } from "./postgres-filter.js";

const key = fc.constantFrom("a", "b", "c", "a.b", "path", "id", "toString");
const { json } = fc.letrec<{ json: Json }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<Json>(0, 1, "x", true, null, "2026-11-30"),
    fc.array(tie("json"), { maxLength: 2 }),
    fc.dictionary(key, tie("json"), { maxKeys: 3 }) as fc.Arbitrary<Json>,
  ),
}));
const passage = fc.dictionary(key, json, { maxKeys: 4 }).map(
  (metadata): Passage => ({
    id: "p",
    text: "text",
    source: { path: "x" },
    metadata: Object.fromEntries(Object.entries(metadata)) as Passage["metadata"],
  }),
);
const field = fc.array(key, { minLength: 1, maxLength: 3 }).map((keys) => keys.join("."));

/** Whether the facts of a row meet an `equals`, as the operator && of PostgreSQL compares them. */
function meets(one: Passage, filter: Filter & { equals: Json }): boolean {
  const conditions = new Conditions();
  conditions.admits(filter, undefined);
  const wanted = conditions.values[1] as string[];
  return factsOf(one).facts.some((fact) => wanted.includes(fact));
}

describe("the facts that PostgreSQL filters by", () => {
  it("agree with core's `matches` on every name, with dots and without", () => {
    fc.assert(
      fc.property(passage, field, json, (one, name, equals) => {
        const filter = { field: name, equals };
        expect(meets(one, filter)).toBe(matches(one, filter));
      }),
      { numRuns: 3000 },
    );
  });

  it("hold every value at its own place", () => {
    fc.assert(
      fc.property(passage, field, (one, name) => {
        const [first = ""] = name.split(".");
        const equals = one.metadata[first];
        if (!Object.hasOwn(one.metadata, first) || equals === undefined || first === "id" || first === "path") return;
        expect(meets(one, { field: first, equals })).toBe(true);
      }),
    );
  });

  it("hold numbers inside objects for ranges", () => {
    const { numbers } = factsOf({ id: "p", text: "", metadata: { ship: { decks: 3, name: "x" }, year: 2026 } });
    expect(numbers).toEqual({ '"ship.decks"': 3, '"year"': 2026 });
  });

  it("refuses a range with a bound that is no number, at any depth", () => {
    const range = { field: "date", least: "2026-01-01" } as unknown as Filter;
    for (const filter of [range, { not: range }, { any: [{ all: [range] }] }])
      expect(() => new Conditions().admits(filter, undefined)).toThrow(
        expect.objectContaining({ code: "BAD_ARGUMENT", path: "date", hint: expect.stringContaining("number") }),
      );
  });
});
