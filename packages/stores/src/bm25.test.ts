import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import type { Filter, Passage, Principal } from "@tessera/core";
import { uniform } from "@tessera/core/internal";
import { testStore } from "@tessera/testkit";
import fc from "fast-check";
import { Bm25Store, tfIdf } from "./bm25.js";
import { referenceBm25 } from "./bm25.reference.js";

testStore("Bm25Store", { open: async () => new Bm25Store(), by: "text" });

const vocabulary = ["a", "b", "c", "d", "e", "getUser", "get_user", "user", "HTTPServer", "http"];
const text = fc.array(fc.constantFrom(...vocabulary), { maxLength: 12 }).map((words) => words.join(" "));
const passage: fc.Arbitrary<Passage> = fc.record(
  {
    id: fc.integer({ min: 0, max: 30 }).map((n) => `p${n}`),
    text,
    title: text,
    metadata: fc.record(
      { kind: fc.constantFrom("x", "y"), access: fc.constantFrom(["ann"], ["team"], []) },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ["id", "text", "metadata"] },
) as fc.Arbitrary<Passage>;
const filter: fc.Arbitrary<Filter | undefined> = fc.constantFrom(
  undefined,
  { field: "kind", equals: "x" },
  { not: { field: "kind", equals: "y" } },
);
const principal: fc.Arbitrary<Principal | undefined> = fc.constantFrom(undefined, { id: "ann", groups: ["team"] });
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ upsert: fc.array(passage, { maxLength: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ delete: fc.array(fc.integer({ min: 0, max: 30 }).map((n) => `p${n}`)) }) },
  { weight: 1, arbitrary: fc.constant({ reload: true as const }) },
  {
    weight: 3,
    arbitrary: fc.record({
      search: fc.record({ text, top: fc.integer({ min: 1, max: 12 }), filter, principal }),
    }),
  },
);

const found = async (store: Bm25Store, query: Parameters<Bm25Store["search"]>[0]) =>
  (await store.search(query)).map(({ passage: { id }, score }) => ({ id, score }));

describe("Bm25Store", () => {
  it("row 21: ranks and scores exactly as the formula, after any adds, deletes, replacements and reloads", async () => {
    const folder = await mkdtemp(join(tmpdir(), "tessera-bm25-"));
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 20 }),
        fc.constantFrom({}, { k1: 0, b: 1 }, { k1: 2, b: 0 }, tfIdf),
        async (steps, settings) => {
          let store = new Bm25Store(settings);
          const twin = new Map<string, Passage>();
          for (const step of steps) {
            if ("upsert" in step) {
              await store.upsert(step.upsert);
              for (const passage of step.upsert) twin.set(passage.id, passage);
            } else if ("delete" in step) {
              await store.delete(step.delete);
              for (const id of step.delete) twin.delete(id);
            } else if ("reload" in step) {
              const { revision } = store;
              await store.save(folder);
              store = await Bm25Store.load(folder);
              expect(store.revision).toBe(revision);
            } else {
              const hits = await found(store, step.search);
              expect(hits).toEqual(referenceBm25([...twin.values()], settings)(step.search));
              const ids = hits.map(({ id }) => id);
              const shares = store.explain(step.search.text, ids, step.search.principal);
              for (const [at, { score }] of hits.entries())
                expect(shares[at]!.reduce((sum, share) => sum + share.score, 0)).toBeCloseTo(score, 9);
              expect(store.explain(step.search.text, [...twin.keys()], { id: "nobody" })).toEqual(
                [...twin.values()].map(({ metadata: { access } }) => (access === undefined ? expect.any(Array) : [])),
              );
            }
          }
          expect(store.size).toBe(twin.size);
        },
      ),
      { numRuns: 150 },
    );
  });

  it.each([
    ["BM25", {}],
    ["TF-IDF", tfIdf],
  ])(
    "row 21: %s agrees with the formula on many documents with words of very different frequency",
    async (_, settings) => {
      const random = uniform(7);
      const word = () =>
        `w${String.fromCharCode(97 + Math.floor(10 * random()))}${"z".repeat(Math.floor(1 / (random() + 0.02)))}`;
      const documents: Passage[] = Array.from({ length: 12_000 }, (_, i) => ({
        id: `d${i}`,
        text: Array.from({ length: 5 + Math.floor(30 * random()) }, word).join(" "),
        metadata: { parity: i % 2 },
      }));
      const store = new Bm25Store(settings);
      for (let from = 0; from < documents.length; from += 5000) await store.upsert(documents.slice(from, from + 5000));
      await store.delete(documents.slice(100, 4000).map(({ id }) => id));
      const reference = referenceBm25([...documents.slice(0, 100), ...documents.slice(4000)], settings);
      for (let i = 0; i < 60; i++) {
        const query = {
          text: [word(), word(), word(), word()].join(" "),
          top: 10,
          ...(i % 3 === 0 && { filter: { field: "parity", equals: 1 } }),
        };
        expect(await found(store, query)).toEqual(reference(query));
      }
    },
  );

  it("row 21: TF-IDF is tf · idf over the length, by hand, and counts the same word without end", async () => {
    const store = new Bm25Store(tfIdf);
    const texts = { once: "owl mouse", twice: "owl owl mouse mouse", none: "heron fish" };
    await store.upsert(Object.entries(texts).map(([id, text]) => ({ id, text, metadata: {} })));
    // two of three hold it; tf / |d| is 1/2 in both, and the average length 8/3
    const score = (Math.log(1 + 1.5 / 2.5) * (8 / 3)) / 2;
    expect(await found(store, { text: "owl", top: 5 })).toEqual([
      { id: "once", score: expect.closeTo(score, 12) },
      { id: "twice", score: expect.closeTo(score, 12) },
    ]);
  });

  it("finds an identifier by its parts, and another spelling of it first", async () => {
    const store = new Bm25Store();
    await store.upsert([
      { id: "camel", text: "function maxRetryCount() {}", metadata: {} },
      { id: "part", text: "retry the retry of a retry", metadata: {} },
      { id: "none", text: "nothing here", metadata: {} },
    ]);
    expect((await store.search({ text: "max_retry_count", top: 5 })).map((hit) => hit.passage.id)).toEqual([
      "camel",
      "part",
    ]);
    expect((await store.search({ text: "count", top: 5 })).map((hit) => hit.passage.id)).toEqual(["camel"]);
  });

  it("keeps to its size when the same passages are replaced again and again", async () => {
    const store = new Bm25Store();
    const passages = (round: number): Passage[] =>
      Array.from({ length: 300 }, (_, i) => ({ id: `p${i}`, text: `round${round} word${i}`, metadata: {} }));
    for (let round = 0; round < 20; round++) await store.upsert(passages(round));
    expect(store.size).toBe(300);
    expect(await store.search({ text: "round3", top: 5 })).toHaveLength(5); // its parts: round, 3
    expect(await found(store, { text: "round word7", top: 10 })).toEqual(
      referenceBm25(passages(19))({ text: "round word7", top: 10 }),
    );
  });

  it("the same changes give the same revision", async () => {
    const passages: Passage[] = [{ id: "a", text: "one", metadata: {} }];
    const [left, right] = [new Bm25Store(), new Bm25Store()];
    await left.upsert(passages);
    await right.upsert(passages);
    expect(left.revision).toBe(right.revision);
    await left.delete(["nobody"]);
    expect(left.revision).toBe(right.revision);
    await left.delete(["a"]);
    expect(left.revision).not.toBe(right.revision);
  });

  it("refuses what it cannot use, and changes nothing", async () => {
    const store = new Bm25Store();
    const good: Passage = { id: "a", text: "one", metadata: {} };
    await expect(store.upsert([good, { id: "b" } as Passage])).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
      path: "passages[1]",
    });
    const cyclic: Passage = { id: "c", text: "one", metadata: {} };
    (cyclic.metadata as Record<string, unknown>).self = cyclic.metadata;
    await expect(store.upsert([good, cyclic])).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    expect(await store.search({ text: "one", top: 5 })).toEqual([]);
    await expect(store.search({ text: "one", top: 0 })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    expect(() => new Bm25Store({ b: 2 })).toThrow("b = 2");
  });

  it("ends with an aborted signal", async () => {
    await expect(new Bm25Store().search({ text: "a", top: 1 }, AbortSignal.abort())).rejects.toThrow();
  });
});

describe("words of a question", () => {
  const indexed = async (texts: readonly string[]) => {
    const store = new Bm25Store();
    await store.upsert(texts.map((text, index) => ({ id: `p${index}`, text, metadata: {} })));
    return async (query: string) => (await store.search({ text: query, top: 5 })).map(({ passage: { text } }) => text);
  };
  const versions = ["2.1.0", "2.0.1", "1.2.0", "1.0.2", "0.1.2", "0.2.1", "12.1.0", "1.12.0", "0.12.1", "1.0.12"];

  it.each(versions)("name the release %s among permutations of its digits", async (version) => {
    const ask = await indexed(versions.map((one) => `Version ${one} has changes.`));
    expect((await ask(`what changed in ${version}?`))[0]).toBe(`Version ${version} has changes.`);
  });

  it.each(["C", "C++", "C#", "F#", ".NET"])("name %s and not another with its letter", async (name) => {
    const ask = await indexed(["C++", "C#", "C", "F#", ".NET"].map((one) => `Who teaches ${one}: a teacher.`));
    expect((await ask(`who is the teacher of ${name}?`))[0]).toBe(`Who teaches ${name}: a teacher.`);
  });

  it.each([
    ["senor pena", "La señora Peña"],
    ["Offnungszeiten", "Die Öffnungszeiten"],
    ["a quelle heure ouvre la veranda", "La véranda ouvre à neuf heures"],
    ["strasse", "Die Straße"],
    ["API", "Die ＡＰＩ"],
    ["office", "the oﬃce"],
    ["ΣΊΣΥΦΟΣ", "ο Σίσυφος"],
    ["istanbul", "İstanbul"],
    ["coffee", "co\u00adffee"],
    ["1000000", "costs 1,000,000 crowns"],
    ["ข้าวต้ม", "มีข้าวต้มทุกเช้า"],
    ["식당", "식당에서 아침을 먹습니다"],
    ["宠物可以上船吗？", "宠物可以带上船"],
    ["返品", "返品は十四日以内"],
    ["Datensicherung", "Datensicherungen um drei Uhr"],
    ["Sicherung", "Datensicherungen um drei Uhr, wenn die Kasse schließt"],
  ])("%s finds %j", async (question, text) => {
    expect((await (await indexed(["something else", text, "und noch etwas anderes"]))(question))[0]).toBe(text);
  });

  it("rank the exact form above others", async () => {
    const ask = await indexed(["one retried thing", "one retry thing", "one retries thing"]);
    expect((await ask("retry"))[0]).toBe("one retry thing");
    expect(await ask("retry")).toHaveLength(3);
    expect((await ask("retries"))[0]).toBe("one retries thing");
  });

  it("rank a word above its scattered characters", async () => {
    const ask = await indexed(["商品の返事と品質と返答", "返品は十四日以内"]);
    expect((await ask("返品"))[0]).toBe("返品は十四日以内");
  });

  it("are looked for in the language that is set, and in no form where none is wanted", async () => {
    const passages = [{ id: "a", text: "peñas", metadata: {} }];
    const found = async (settings: ConstructorParameters<typeof Bm25Store>[0], text: string) => {
      const store = new Bm25Store(settings);
      await store.upsert(passages);
      return (await store.search({ text, top: 1 })).length;
    };
    expect(await found({ language: "es" }, "peña")).toBe(1);
    expect(await found({ forms: false }, "peña")).toBe(0);
    expect(await found({ forms: false }, "peñas")).toBe(1);
  });
});
