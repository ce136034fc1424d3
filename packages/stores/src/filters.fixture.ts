import { expect } from "@jest/globals";
import type { Filter, Passage, Principal, Store } from "@tessera/core";
import { admits } from "@tessera/core/internal";
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
const passage = fc.record({
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
const filter = fc.letrec<{ filter: Filter }>((tie) => ({
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
const principal: fc.Arbitrary<Principal | undefined> = fc.option(
  fc.record({ id: name, groups: fc.array(name, { maxLength: 2 }) }),
  { nil: undefined },
);

/**
 * Checks that a store of vectors of 4 components admits what core admits, whatever keys, values and names there are, and
 * keeps them as they are.
 */
export async function admitsAsCore(store: Store, numRuns: number): Promise<void> {
  const vector = Float32Array.of(1, 0, 0, 0);
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(passage, { selector: ({ id }) => id, maxLength: 6 }),
      fc.array(fc.tuple(fc.option(filter, { nil: undefined }), principal), { minLength: 1, maxLength: 8 }),
      async (passages, queries) => {
        await store.delete(["p1", "p2", "p3", "p4", "p'5", 'p"6']);
        await store.upsert(
          passages,
          passages.map(() => vector),
        );
        for (const [filter, principal] of queries) {
          const expected = passages.filter((one) => admits(one, filter, principal));
          const found = (await store.search({ vector, top: 10, filter, principal })).map((hit) => hit.passage);
          const order = (a: Passage, b: Passage) => (a.id < b.id ? -1 : 1);
          expect(found.sort(order)).toEqual(expected.sort(order));
        }
      },
    ),
    { numRuns },
  );
}
