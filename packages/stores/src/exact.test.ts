import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import type { Passage, StoreQuery } from "@tessera/core";
import { admits } from "@tessera/core/internal";
import { testStore } from "@tessera/testkit";
import fc from "fast-check";
import { ExactStore } from "./exact.js";

const width = 3;
const open = async () => new ExactStore({ space: "test:3", width });

testStore("ExactStore", { open: async () => new ExactStore({ space: "test:4", width: 4 }), by: "vector" });

const vector = fc
  .array(fc.integer({ min: -3, max: 3 }), { minLength: width, maxLength: width })
  .map((list) => Float32Array.from(list));
const id = fc.integer({ min: 0, max: 20 }).map((n) => `p${n}`);
const passage: fc.Arbitrary<Passage> = fc.record({
  id,
  text: fc.constant("text"),
  metadata: fc.record({ kind: fc.constantFrom("x", "y"), access: fc.constant(["ann"]) }, { requiredKeys: [] }),
}) as fc.Arbitrary<Passage>;
const step = fc.oneof(
  fc.record({ upsert: fc.array(fc.tuple(passage, vector), { maxLength: 6 }) }),
  fc.record({ delete: fc.array(id, { maxLength: 4 }) }),
  fc.constant({ reload: true as const }),
  fc.record({
    search: fc.record({
      vector,
      top: fc.integer({ min: 1, max: 8 }),
      filter: fc.constantFrom(undefined, { field: "kind", equals: "x" }, { field: "id", in: ["p1", "p2", "p99"] }),
      principal: fc.constantFrom(undefined, { id: "ann" }),
    }),
  }),
);

/** The naive twin: a list that is sorted by the cosine, in double precision. */
function nearest(entries: Iterable<[Passage, Float32Array]>, { vector, top, filter, principal }: StoreQuery) {
  const length = (list: Float32Array) => Math.hypot(...list) || 1;
  const cosine = (a: Float32Array, b: Float32Array) =>
    a.reduce((sum, component, i) => sum + component * b[i]!, 0) / (length(a) * length(b));
  return [...entries]
    .filter(([passage]) => admits(passage, filter, principal))
    .map(([{ id }, own]) => ({ id, score: cosine(vector!, own) }))
    .sort((a, b) => b.score - a.score)
    .slice(0, top);
}

describe("ExactStore", () => {
  it("row 22: finds what its naive twin finds, after any adds, deletes, replacements and reloads", async () => {
    const folder = await mkdtemp(join(tmpdir(), "tessera-exact-"));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        let store = await open();
        const twin = new Map<string, [Passage, Float32Array]>();
        for (const step of steps) {
          if ("upsert" in step) {
            await store.upsert(
              step.upsert.map(([passage]) => passage),
              step.upsert.map(([, vector]) => vector),
            );
            for (const entry of step.upsert) twin.set(entry[0].id, entry);
          } else if ("delete" in step) {
            await store.delete(step.delete);
            for (const id of step.delete) twin.delete(id);
          } else if ("reload" in step) {
            const { revision } = store;
            await store.save(folder);
            store = await ExactStore.load(folder);
            expect([store.revision, store.space, store.width]).toEqual([revision, "test:3", width]);
          } else {
            const hits = await store.search(step.search);
            const expected = nearest(twin.values(), step.search);
            expect(hits).toHaveLength(expected.length);
            for (const [i, { score, passage }] of hits.entries()) {
              expect(score).toBeCloseTo(expected[i]!.score, 5);
              expect(admits(passage, step.search.filter, step.search.principal)).toBe(true);
              expect(passage).toEqual(twin.get(passage.id)![0]);
            }
          }
        }
        expect(store.size).toBe(twin.size);
      }),
      { numRuns: 200 },
    );
  });

  it("refuses vectors of another width, broken ones and missing ones, and changes nothing", async () => {
    const store = await open();
    const [a, b] = ["a", "b"].map((id): Passage => ({ id, text: id, metadata: {} })) as [Passage, Passage];
    const good = Float32Array.of(1, 0, 0);
    const { revision } = store;
    await expect(store.upsert([a, b], [good, Float32Array.of(1, 0)])).rejects.toMatchObject({
      code: "SPACE_MISMATCH",
      path: "vectors[1]",
    });
    await expect(store.upsert([a, b], [good, Float32Array.of(1, Number.NaN, 0)])).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
    });
    await expect(store.upsert([a, b], [good])).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await expect(store.search({ vector: Float32Array.of(1), top: 1 })).rejects.toMatchObject({
      code: "SPACE_MISMATCH",
    });
    await expect(store.search({ text: "a", top: 1 })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await expect(store.search({ vector: good, top: 1.5 })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    expect([store.size, store.revision]).toEqual([0, revision]);
    expect(() => new ExactStore({ space: "x", width: 0 })).toThrow("width");
  });

  it("gives passages by id, but only to those who may see them", async () => {
    const store = await open();
    const secret: Passage = { id: "secret", text: "s", metadata: { access: ["ann"] } };
    const plain: Passage = { id: "plain", text: "p", metadata: {} };
    await store.upsert([secret, plain], [Float32Array.of(1, 0, 0), Float32Array.of(0, 1, 0)]);
    expect(await store.get(["plain", "secret", "nobody"])).toEqual([plain, undefined, undefined]);
    expect(await store.get(["secret"], { id: "ann" })).toEqual([secret]);
  });
});
