import { describe, expect, it } from "@jest/globals";
import { Document } from "@langchain/core/documents";
import { FakeRetriever } from "@langchain/core/utils/testing";
import { fromRetriever } from "./retriever.js";

const documents = [
  new Document({ pageContent: "alpha", id: "a", metadata: { kind: "x" } }),
  new Document({ pageContent: "beta", id: "b", metadata: { access: ["ann"] } }),
  new Document({ pageContent: "alpha", id: "a" }),
  new Document({ pageContent: "gamma", id: "c", metadata: { kind: "y", access: "damaged" } }),
  new Document({ pageContent: "delta", id: "d", metadata: { kind: "y" } }),
];

describe("fromRetriever", () => {
  const store = fromRetriever(new FakeRetriever({ output: documents }));
  const ids = async (query: Parameters<typeof store.search>[0]) =>
    (await store.search(query)).map(({ passage }) => passage.id);

  it("ranks as the retriever does, each document once", async () => {
    const hits = await store.search({ text: "q", top: 10, principal: { id: "ann" } });
    expect(hits.map(({ passage, score }) => [passage.id, score])).toEqual([
      ["a", 1],
      ["b", 1 / 2],
      ["d", 1 / 3],
    ]);
    expect(hits[1]!.provenance).toEqual([{ operator: "langchain", rank: 2, score: 1 / 2 }]);
  });

  it("shows only what the principal and the filter admit", async () => {
    expect(await ids({ text: "q", top: 10 })).toEqual(["a", "d"]);
    expect(await ids({ text: "q", top: 10, principal: { id: "bob" } })).toEqual(["a", "d"]);
    expect(await ids({ text: "q", top: 10, filter: { field: "kind", equals: "y" } })).toEqual(["d"]);
    expect(await ids({ text: "q", top: 1 })).toEqual(["a"]);
  });

  it("refuses vectors and writes, and tells what failed", async () => {
    await expect(store.search({ vector: new Float32Array(2), top: 1 })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await expect(store.upsert([])).rejects.toMatchObject({ code: "STORE_FAILED" });
    await expect(store.delete([])).rejects.toMatchObject({ code: "STORE_FAILED" });
    const broken = fromRetriever({ invoke: async () => Promise.reject(new Error("down")) });
    await expect(broken.search({ text: "q", top: 1 })).rejects.toMatchObject({ code: "STORE_FAILED" });
  });

  it("passes the signal on, and ends with its reason", async () => {
    const reason = new Error("enough");
    const slow = fromRetriever({
      invoke: (_, config) =>
        new Promise((_resolve, reject) =>
          config!.signal!.addEventListener("abort", () => reject(new Error("aborted"))),
        ),
    });
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 10);
    await expect(slow.search({ text: "q", top: 1 }, controller.signal)).rejects.toBe(reason);
  });
});
