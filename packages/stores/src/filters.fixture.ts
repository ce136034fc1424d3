import type { Filter, Passage, Principal } from "@tessera/core";
import fc from "fast-check";

// strings that would leave a statement, and those that databases cannot keep as they are
const hostile = fc.constantFrom(
  "kind",
  "id",
  "path",
  "access",
  "'; DROP TABLE passage; --",
  "$1",
  'a"b\\c',
  "\0",
  "\ud800",
  "__proto__",
  "{}",
  "",
  "x".repeat(5000),
);
const value = fc.oneof(hostile, fc.integer({ min: -2, max: 2 }), fc.constantFrom(0.1, 1e21, null, true, false));
const json = fc.oneof(value, fc.array(value, { maxLength: 2 }), fc.dictionary(hostile, value, { maxKeys: 2 }));
const name = fc.constantFrom("ann", "bob", "team", "*", '"*"', "'ann'", "\0");
/** Passages of few ids, with metadata and access lists of any kind. */
export const passage = fc.record({
  id: fc.constantFrom("p1", "p2", "p3", "p4", "p'5", 'p"6'),
  text: fc.constantFrom("alpha beta", "alpha alpha maxRetry", "it's \0 \ud800 gamma", "日本 beta"),
  metadata: fc
    .tuple(
      fc.dictionary(hostile, json, { maxKeys: 3 }),
      fc.option(fc.oneof(fc.array(fc.oneof(name, fc.constant(1)), { maxLength: 3 }), name), { nil: undefined }),
    )
    .map(([metadata, access]) => {
      const { access: _, ...rest } = metadata;
      return access === undefined ? rest : { ...rest, access };
    }),
}) as fc.Arbitrary<Passage>;
/** Any filter over them. */
export const filter = fc.letrec<{ filter: Filter }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 2 },
    fc.record({ field: hostile, equals: json }),
    fc.record({ field: hostile, in: fc.array(json, { maxLength: 3 }) }),
    fc.record(
      {
        field: hostile,
        least: fc.constantFrom(-1, 0, 0.1, Number.NaN),
        most: fc.constantFrom(0, 1, 1e21, Number.POSITIVE_INFINITY),
      },
      { requiredKeys: ["field"] },
    ),
    fc.record({ all: fc.array(tie("filter"), { maxLength: 2 }) }),
    fc.record({ any: fc.array(tie("filter"), { maxLength: 2 }) }),
    fc.record({ not: tie("filter") }),
  ),
})).filter as fc.Arbitrary<Filter>;
/** Anyone who may ask. */
export const principal: fc.Arbitrary<Principal | undefined> = fc.option(
  fc.record({ id: name, groups: fc.array(name, { maxLength: 2 }) }),
  { nil: undefined },
);
