import { describe, expect, it } from "@jest/globals";
import type { Filter, Hit, Json, Passage, Principal, Store } from "@tessera/core";
import { admits } from "@tessera/core/internal";
import fc from "fast-check";
import { Bm25Store } from "./bm25.js";
import { ExactStore } from "./exact.js";
import { Facets } from "./facets.js";
import { HnswStore } from "./hnsw.js";
import { PassageTable } from "./passage-table.js";

const field = fc.constantFrom("kind", "size", "path", "symbol", "parent", "id", "missing", "access");
const few = fc.integer({ min: 0, max: 40 });
const json = fc.oneof<fc.Arbitrary<Json>[]>(
  few,
  few.map((n) => `v${n}`),
  fc.constantFrom<Json>(null, true, "[1]", '{"a":1}', -0),
  fc.constantFrom<Json>([], [1], [1, "v2"], [[1]], { a: 1 }, { b: 2, a: 1 }, { a: 1, b: 2 }, [null]),
);
const filters = fc.letrec<{ filter: Filter }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 2 },
    { weight: 3, arbitrary: fc.record({ field, equals: json }) },
    fc.record({ field, in: fc.array(json, { maxLength: 3 }) }),
    fc.record({ field, least: few, most: few }, { requiredKeys: ["field"] }),
    fc.record({ all: fc.array(tie("filter"), { maxLength: 3 }) }),
    fc.record({ any: fc.array(tie("filter"), { maxLength: 3 }) }),
    fc.record({ not: tie("filter") }),
  ),
})).filter;
const principals = fc.constantFrom<Principal | undefined>(undefined, { id: "ann" }, { id: "bob", groups: ["team"] });
const passageOf = (id: number): fc.Arbitrary<Passage> =>
  fc
    .record(
      {
        kind: json,
        size: few,
        path: few.map((n) => `v${n}`),
        symbol: few.map((n) => `v${n}`),
        access: fc.constantFrom<Json>(["ann"], ["team"], [], "ann"),
      },
      { requiredKeys: [] },
    )
    .map(({ path, symbol, ...metadata }) => ({
      id: `p${id}`,
      text: "alpha",
      metadata: metadata as Passage["metadata"],
      ...(path !== undefined && { source: { path, ...(symbol !== undefined && { symbol }) } }),
    }));
const step = fc.oneof(
  { weight: 4, arbitrary: few.chain(passageOf).map((put) => ({ put })) },
  { weight: 2, arbitrary: few.map((remove) => ({ remove: `p${remove}` })) },
  { weight: 9, arbitrary: fc.tuple(filters, principals).map((ask) => ({ ask })) },
);

describe("what a table admits", () => {
  it("is what its naive twin admits, whatever was put and cleared, whether values named it or not", () => {
    let named = 0;
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 400 }).chain(passageOf), { minLength: 100, maxLength: 200 }),
        fc.array(step, { minLength: 20, maxLength: 60 }),
        fc.boolean(),
        (first, steps, reuse) => {
          const table = new PassageTable("test");
          const twin = new Map<string, Passage>();
          const put = (passage: Passage) => {
            twin.set(passage.id, passage);
            if (reuse) table.put(passage, table.slotOf(passage.id) ?? table.vacancy());
            else {
              table.remove(passage.id);
              table.put(passage);
            }
          };
          for (const passage of first) put(passage);
          for (const one of steps) {
            if ("put" in one) put(one.put);
            else if ("remove" in one) {
              twin.delete(one.remove);
              table.remove(one.remove);
            } else {
              const [filter, principal] = one.ask;
              const wanted = [...twin.values()].filter((passage) => admits(passage, filter, principal));
              const { admits: admitted, slots } = table.admission(filter, principal);
              const every = Array.from({ length: table.end }, (_, slot) => slot).filter(admitted);
              expect(every.map(table.idAt).sort()).toEqual(wanted.map(({ id }) => id).sort());
              if (slots) {
                expect([...slots]).toEqual(every);
                if (slots.length > 0) named++;
              }
            }
          }
        },
      ),
      { numRuns: 100 },
    );
    expect(named).toBeGreaterThan(50);
  });

  it("never holds what was changed from outside, or restricted since", () => {
    const table = new PassageTable("test");
    const passages = Array.from({ length: 40 }, (_, i): Passage => ({ id: `p${i}`, text: "", metadata: { n: i } }));
    for (const passage of passages) table.put(passage);
    const three: Filter = { field: "n", equals: 3 };
    expect(table.admission(three, undefined).slots).toEqual(Int32Array.of(3));
    passages[3]!.metadata.n = 4;
    expect(table.admission(three, undefined).slots).toEqual(Int32Array.of());
    table.put({ ...passages[5]!, metadata: { n: 5, access: ["ann"] } }, 5);
    const five: Filter = { field: "n", equals: 5 };
    expect(table.admission(five, undefined).slots).toEqual(Int32Array.of());
    expect(table.admission(five, { id: "ann" }).slots).toEqual(Int32Array.of(5));
  });
});

describe("Facets", () => {
  const held = Array.from({ length: 100 }, (_, i): Passage => ({ id: `p${i}`, text: "", metadata: { n: i % 50, i } }));

  it("gives the smallest part of an `all`, and nothing where more than the most is named", () => {
    const facets = new Facets(held);
    const twoOf: Filter = { field: "n", equals: 7 };
    expect([...facets.find({ all: [{ not: twoOf }, twoOf, { field: "i", in: [57] }] }, 10)!]).toEqual([57]);
    expect([...facets.find(twoOf, 2)!]).toEqual([7, 57]);
    expect(facets.find(twoOf, 1)).toBeUndefined();
    expect(facets.find({ any: [twoOf, { not: twoOf }] }, 100)).toBeUndefined();
    expect([...facets.find({ field: "n", least: 48 }, 50)!].sort()).toEqual([48, 49, 98, 99]);
    expect(facets.find({ field: "i", least: 98 }, 50)).toBeUndefined(); // a hundred values
  });

  it("forgets the field that was asked for longest ago, and reads it again", () => {
    const facets = new Facets(held);
    for (let round = 0; round < 2; round++)
      for (let i = 0; i < 20; i++)
        expect([...facets.find({ field: i === 0 ? "n" : `other${i}`, in: [3] }, 10)!]).toEqual(i === 0 ? [3, 53] : []);
  });
});

describe("a search that few passages are admitted to", () => {
  it("finds what a search for all finds, less what is not admitted: the same passages, scores and order", async () => {
    const word = fc.integer({ min: 0, max: 12 }).map((n) => `word${n}`);
    const text = fc.array(word, { minLength: 1, maxLength: 12 }).map((words) => words.join(" "));
    const row = fc.record({ text, n: fc.integer({ min: 0, max: 60 }), access: fc.integer({ min: 0, max: 100 }) });
    const asked = fc.record({
      text,
      filter: fc.oneof<fc.Arbitrary<Filter | undefined>[]>(
        fc.integer({ min: 0, max: 60 }).map((n) => ({ field: "n", equals: n })),
        fc
          .integer({ min: 0, max: 60 })
          .map((n) => ({ all: [{ field: "n", least: n }, { not: { field: "n", most: 3 } }] })),
        fc.constant(undefined),
        fc.constant({ not: { field: "n", equals: 1 } }),
      ),
      who: fc.constantFrom<Principal | undefined>(undefined, { id: "name0" }, { id: "name1", groups: ["name2"] }),
      top: fc.integer({ min: 1, max: 30 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(row, { minLength: 150, maxLength: 400 }),
        fc.array(fc.nat({ max: 399 }), { maxLength: 60 }),
        fc.array(asked, { minLength: 1, maxLength: 8 }),
        fc.boolean(),
        async (rows, removed, questions, restricted) => {
          const passages = rows.map(
            ({ text, n, access }, i): Passage => ({
              id: `p${i}`,
              text,
              metadata: { n, ...(restricted && access > 0 && { access: [`name${access}`] }) },
            }),
          );
          const everybody = { id: "all", groups: Array.from({ length: 101 }, (_, i) => `name${i}`) };
          const vector = (text: string) => Float32Array.of(text.length, text.charCodeAt(4), text.split(" ").length, 1);
          const space = { space: "s", width: 4 };
          // where many are admitted the graph answers nearly
          const graph = restricted ? [await HnswStore.open(space)] : [];
          for (const store of [new Bm25Store(), new ExactStore(space), ...graph] as Store[]) {
            const half = passages.length >> 1;
            for (const part of [passages.slice(0, half), passages.slice(half)])
              await store.upsert(
                part,
                part.map(({ text }) => vector(text)),
              );
            await store.delete(removed.map((i) => `p${i}`));
            for (const { text, filter, who, top } of questions) {
              const query = { text, vector: vector(text) };
              const all: Hit[] = await store.search({ ...query, top: 1000, principal: everybody });
              const wanted = all.filter(({ passage }) => admits(passage, filter, who)).slice(0, top);
              const found = await store.search({ ...query, top, filter, principal: who });
              expect(found.map(({ passage, score }) => [passage.id, score])).toEqual(
                wanted.map(({ passage, score }) => [passage.id, score]),
              );
            }
          }
        },
      ),
      { numRuns: 15 },
    );
  });
});
