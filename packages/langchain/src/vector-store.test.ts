import { describe, expect, it } from "@jest/globals";
import { HNSWLib } from "@langchain/community/vectorstores/hnswlib";
import { FakeVectorStore, SyntheticEmbeddings } from "@langchain/core/utils/testing";
import type { Passage, Store } from "@tessera/core";
import { testStore } from "@tessera/testkit";
import { fromVectorStore, type VectorStoreLike, type VectorStoreOptions } from "./vector-store.js";

const embeddings = new SyntheticEmbeddings({ vectorSize: 4 });

function hnsw(options: Partial<VectorStoreOptions> = {}): Store {
  const store = new HNSWLib(embeddings, { space: "cosine" });
  return fromVectorStore(store, {
    score: "distance",
    deletes: "mask",
    size: () => store._index?.getCurrentCount() ?? 0,
    ...options,
  });
}
const memory = (options: Partial<VectorStoreOptions> = {}): Store =>
  fromVectorStore(new FakeVectorStore(embeddings), { score: "similarity", deletes: "mask", ...options });

testStore("LangChain's HNSWLib, filtering by a callback", {
  open: async () => hnsw({ filter: "callback" }),
  by: "vector",
});
testStore("LangChain's HNSWLib, filtered afterwards", { open: async () => hnsw(), by: "vector" });
testStore("LangChain's FakeVectorStore, filtered afterwards", { open: async () => memory(), by: "vector" });

/** A store that keeps what it is told, by its own ids. */
function nativeStore(): VectorStoreLike & { seen: unknown[] } {
  const documents = new Map<string, Parameters<VectorStoreLike["addDocuments"]>[0][number]>();
  const seen: unknown[] = [];
  const search = async (_: unknown, k: number, filter?: unknown) => {
    seen.push({ k, filter });
    return [...documents.values()].slice(0, k).map((document, index) => [document, 1 - index / 100] as const);
  };
  return {
    seen,
    similaritySearchWithScore: search,
    similaritySearchVectorWithScore: search,
    async addDocuments(added, options) {
      for (const [index, document] of added.entries()) documents.set(options!.ids![index]!, document);
    },
    async addVectors(_, added, options) {
      return this.addDocuments(added, options);
    },
    async delete({ ids }: { ids: string[] }) {
      for (const id of ids) documents.delete(id);
    },
  };
}

const passage = (id: string, metadata: Passage["metadata"] = {}): Passage => ({ id, text: id, metadata });

describe("fromVectorStore", () => {
  it("gives passages back as they were, and keeps no stamp in them", async () => {
    const store = hnsw();
    const full: Passage = {
      id: "a",
      text: "text of a",
      title: "A",
      source: { path: "src/a.ts", lines: [1, 2], symbol: "a" },
      parent: "file",
      metadata: { source: "elsewhere", title: "t", loc: 1 },
    };
    await store.upsert([full]);
    expect((await store.search({ text: "text of a", top: 1 }))[0]!.passage).toEqual(full);
  });

  it("searches by text with the store's own embeddings", async () => {
    const store = memory();
    await store.upsert([passage("zzzz zzzz"), passage("a plain text")]);
    expect((await store.search({ text: "zzzz zzzz", top: 1 }))[0]!.passage.id).toBe("zzzz zzzz");
  });

  it("deletes and replaces natively where the store can", async () => {
    const store = fromVectorStore(nativeStore(), { score: "similarity" });
    await store.upsert([passage("a", { n: 1 }), passage("b")]);
    await store.upsert([passage("a", { n: 2 })]);
    await store.delete(["b"]);
    expect((await store.search({ text: "x", top: 5 })).map((hit) => hit.passage)).toEqual([passage("a", { n: 2 })]);
  });

  it("makes the store's own filter, and still checks what comes back", async () => {
    const native = nativeStore();
    const store = fromVectorStore(native, {
      score: "similarity",
      filter: ({ principal }) => ({ where: { access: principal?.id ?? null } }),
    });
    await store.upsert([passage("open"), passage("hidden", { access: ["bob"] })]);
    const hits = await store.search({ text: "x", top: 5, principal: { id: "ann" } });
    expect(hits.map((hit) => hit.passage.id)).toEqual(["open"]);
    expect(native.seen[0]).toMatchObject({ filter: { where: { access: "ann" } } });
  });

  it("asks for more until enough are admitted, and for no more than `candidates`", async () => {
    const native = nativeStore();
    const store = fromVectorStore(native, { score: "similarity", candidates: 200 });
    await store.upsert([
      ...Array.from({ length: 150 }, (_, i) => passage(`hidden${i}`, { access: ["bob"] })),
      passage("open"),
      ...Array.from({ length: 150 }, (_, i) => passage(`more${i}`, { access: ["bob"] })),
    ]);
    expect((await store.search({ text: "x", top: 2 })).map((hit) => hit.passage.id)).toEqual(["open"]);
    expect(native.seen.map((call) => (call as { k: number }).k)).toEqual([4, 16, 64, 200]);
  });

  it("tells what failed, keeps what is wrong out, and stops between searches when aborted", async () => {
    const broken = fromVectorStore(
      { ...nativeStore(), similaritySearchWithScore: async () => Promise.reject(new Error("down")) },
      { score: "similarity" },
    );
    await expect(broken.search({ text: "x", top: 1 })).rejects.toMatchObject({ code: "STORE_FAILED", message: "down" });
    await expect(broken.search({ top: 1 })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await expect(broken.upsert([passage("a")], [])).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    const reason = new Error("enough");
    await expect(memory().search({ text: "x", top: 1 }, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});
