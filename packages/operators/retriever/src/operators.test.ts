import { describe, expect, it } from "@jest/globals";
import { type Encoder, type Hit, type Passage, type Store, type StoreQuery, TesseraError } from "@tessera/core";
import { Bm25Store, ExactStore } from "@tessera/stores";
import { contextOf, hostOf, runOperator, scriptedEncoder, testOperator } from "@tessera/testkit";
import { dense } from "./dense.js";
import { hybrid } from "./hybrid.js";
import { sparse } from "./sparse.js";

const texts: Record<string, string> = {
  retry: "retries are backed off with jitter",
  backoff: "the delay grows after each failure",
  parser: "the parser reads tokens",
  secret: "retries of the secret service are backed off",
};
const passages: Passage[] = Object.entries(texts).map(([id, text]) => ({
  id,
  text,
  metadata: { kind: id === "parser" ? "code" : "text", ...(id === "secret" && { access: ["ann"] }) },
}));

const encoder = scriptedEncoder(32);
const bm25 = new Bm25Store();
await bm25.upsert(passages);
const exact = new ExactStore({ space: encoder.space({}), width: 32 });
await exact.upsert(passages, await encoder.encode(Object.values(texts), { kind: "text" }));
const host = () => hostOf({ "store/words": bm25, "store/vectors": exact, "encoder/hash": encoder });

const ids = (output: Record<string, unknown>) => (output.hits as Hit[]).map(({ passage }) => passage.id);
const query = "how are retries backed off";
const denseConfig = { store: "vectors", encoder: "hash", top: 2 };
const hybridConfig = { sparse: "words", dense: "vectors", encoder: "hash", top: 3 };

testOperator(sparse, {
  host,
  cases: [
    {
      name: "finds by words what everybody may see",
      config: { store: "words", top: 2 },
      input: { query },
      output: (output) => expect(ids(output)).toEqual(["retry"]),
    },
    {
      name: "meets the filter of its setting and of its port",
      config: { store: "words", filter: { field: "kind", equals: "text" } },
      input: { query: "the", filter: { not: { field: "id", equals: "backoff" } } },
      output: (output) => expect(ids(output)).toEqual([]),
    },
  ],
});

testOperator(dense, {
  host,
  cases: [
    {
      name: "finds by vector",
      config: denseConfig,
      input: { query: "the parser reads tokens" },
      output: (output) => expect(ids(output)[0]).toBe("parser"),
    },
    {
      name: "takes a given vector in place of the query's",
      config: { ...denseConfig, top: 1 },
      input: {
        query: "the parser reads tokens",
        vector: [...(await encoder.encode([texts.backoff!], { kind: "text" }))[0]!],
      },
      output: (output) => expect(ids(output)).toEqual(["backoff"]),
    },
    {
      name: "row 7: filters before it takes the best",
      config: { ...denseConfig, top: 1, filter: { field: "kind", equals: "code" } },
      input: { query },
      output: (output) => expect(ids(output)).toEqual(["parser"]),
    },
  ],
});

testOperator(hybrid, {
  host,
  cases: [
    {
      name: "row 23: fuses both lists by reciprocal rank, and keeps both ranks and scores",
      config: { ...hybridConfig, fusion: "rrf" },
      input: { query },
      output: (output) => {
        const [first] = output.hits as Hit[];
        expect(first!.passage.id).toBe("retry");
        expect(first!.score).toBeCloseTo(1 / 61, 12);
        expect(first!.provenance.map(({ operator, rank }) => [operator, rank])).toEqual([
          ["store.bm25", 1],
          ["store.exact", 1],
          ["retriever.hybrid", 1],
        ]);
      },
    },
    {
      name: "fuses scores by weight",
      config: { ...hybridConfig, fusion: "weighted", weight: 1 },
      input: { query: "the parser reads tokens" },
      output: (output) => {
        expect(ids(output)[0]).toBe("parser");
        expect((output.hits as Hit[])[0]!.score).toBe(1); // the best of the only list that counts
      },
    },
    {
      name: "fuses scores from the least of each list, so that the last of both has none",
      config: hybridConfig,
      input: { query: "are the retries of the parser backed off" },
      output: (output) => {
        const hits = output.hits as Hit[];
        const parts = hits.map(({ passage, provenance }) => {
          const scoreIn = (operator: string) => provenance.find((step) => step.operator === operator)?.score;
          return { id: passage.id, words: scoreIn("store.bm25"), vector: scoreIn("store.exact") };
        });
        const share = (part: "words" | "vector", id: string) => {
          const scores = parts.flatMap((one) => one[part] ?? []);
          const own = parts.find((one) => one.id === id)![part];
          const [least, most] = [Math.min(...scores), Math.max(...scores)];
          return own === undefined ? 0 : (own - least) / (most - least);
        };
        expect(hits).toHaveLength(3);
        for (const { passage, score } of hits)
          expect(score).toBeCloseTo((share("words", passage.id) + share("vector", passage.id)) / 2, 12);
      },
    },
    {
      name: "row 23: ranks by vector only what the words found first",
      config: { ...hybridConfig, screen: 1, weight: 0 },
      input: { query: "the delay grows after each failure" },
      output: (output) => {
        const ranked = (output.hits as Hit[]).filter(({ provenance }) =>
          provenance.some(({ operator }) => operator === "store.exact"),
        );
        expect(ranked.map(({ passage }) => passage.id)).toEqual(["backoff"]);
      },
    },
  ],
});

describe("retrieval", () => {
  it.each([
    ["sparse", sparse, { store: "words" }],
    ["dense", dense, { ...denseConfig, top: 10 }],
    ["hybrid", hybrid, { ...hybridConfig, top: 10 }],
    ["hybrid with a screen", hybrid, { ...hybridConfig, top: 10, screen: 10 }],
  ])("%s passes the principal and the signal on to its stores", async (_, operator, config) => {
    const seen: { query: StoreQuery; signal: AbortSignal | undefined }[] = [];
    const spied = (store: Store): Store => ({
      revision: store.revision,
      space: store.space,
      search(query, signal) {
        seen.push({ query, signal });
        return store.search(query, signal);
      },
      upsert: async () => {},
      delete: async () => {},
    });
    const spies = hostOf({ "store/words": spied(bm25), "store/vectors": spied(exact), "encoder/hash": encoder });
    const context = contextOf({ principal: { id: "ann" } });
    expect(ids(await runOperator(operator, config, { query }, { host: spies, context }))).toContain("secret");
    for (const { query, signal } of seen) {
      expect(query.principal).toEqual({ id: "ann" });
      expect(signal).toBe(context.signal);
    }
    expect(ids(await runOperator(operator, config, { query }, { host: spies }))).not.toContain("secret");
  });

  it("a query of another space is refused at set-up, with the spaces that fit", async () => {
    const other = hostOf({ "store/vectors": exact, "store/words": bm25, "encoder/hash": scriptedEncoder(16) });
    const refused = expect.objectContaining({
      code: "SPACE_MISMATCH",
      path: "store/vectors",
      hint: expect.stringContaining("scripted:16"),
    });
    await expect(runOperator(dense, denseConfig, { query }, { host: other })).rejects.toEqual(refused);
    await expect(runOperator(hybrid, hybridConfig, { query }, { host: other })).rejects.toEqual(refused);
    await expect(runOperator(dense, { ...denseConfig, width: 8 }, { query }, { host: host() })).rejects.toMatchObject({
      code: "SPACE_MISMATCH",
    });
  });

  it("an encoder may permit other spaces, and gets the exit and the width that are set", async () => {
    const asked: unknown[] = [];
    const versatile: Encoder = {
      revision: "1",
      space: ({ exit }) => `exit-${exit}`,
      searches: () => ["scripted:32"],
      encode(list, how) {
        asked.push(how);
        return encoder.encode(list, { kind: how.kind });
      },
    };
    const permitted = hostOf({ "store/vectors": exact, "encoder/hash": versatile });
    await runOperator(dense, { ...denseConfig, exit: 4 }, { query }, { host: permitted });
    await runOperator(dense, denseConfig, { query }, { host: permitted });
    expect(asked).toEqual([{ exit: 4, kind: "query" }, { kind: "query" }]);
  });

  it("a failing store fails the hybrid, and nothing is left unhandled", async () => {
    const broken: Store = {
      revision: "1",
      search: async () => {
        throw new TesseraError("STORE_FAILED", "the disk is gone");
      },
      upsert: async () => {},
      delete: async () => {},
    };
    const mute: Encoder = { ...encoder, encode: async () => Promise.reject(new TesseraError("MODEL_FAILED", "no")) };
    const both = hostOf({ "store/words": broken, "store/vectors": exact, "encoder/hash": mute });
    for (const config of [hybridConfig, { ...hybridConfig, screen: 5 }])
      await expect(runOperator(hybrid, config, { query }, { host: both })).rejects.toMatchObject({
        code: expect.stringMatching(/STORE_FAILED|MODEL_FAILED/),
      });
  });
});
