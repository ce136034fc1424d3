import { describe, expect, it } from "@jest/globals";
import type { Encoder } from "@tessera/core";
import { cosineSimilarity, embed, embedMany } from "ai";
import { MockEmbeddingModelV3, MockEmbeddingModelV4 } from "ai/test";
import { fromEmbeddingModel } from "./from-embedding-model.js";
import { toEmbeddingModel } from "./to-embedding-model.js";

const mock = (embeddingOf: (text: string) => number[], maxEmbeddingsPerCall?: number) =>
  new MockEmbeddingModelV4({
    provider: "mock",
    modelId: "vectors",
    maxEmbeddingsPerCall: maxEmbeddingsPerCall ?? null,
    doEmbed: async ({ values }) => ({ embeddings: values.map(embeddingOf), warnings: [] }),
  });

describe("fromEmbeddingModel", () => {
  it("gives unit vectors in order, in batches of what the model takes", async () => {
    const model = mock((text) => [text.length, 0], 2);
    const encoder = fromEmbeddingModel(model);
    const vectors = await encoder.encode(["a", "bb", "ccc"], { kind: "text" });
    expect(vectors).toEqual([1, 1, 1].map((one) => Float32Array.of(one, 0)));
    expect(model.doEmbedCalls.map(({ values }) => values)).toEqual([["a", "bb"], ["ccc"]]);
    expect([encoder.space({}), encoder.revision]).toEqual(["mock/vectors", "ai-sdk:mock/vectors"]);
    expect(await encoder.encode([], { kind: "text" })).toEqual([]);
  });

  it("tells queries from documents by prefixes and the provider's options, and shortens", async () => {
    const model = mock(() => [3, 4]);
    const encoder = fromEmbeddingModel(model, {
      shortens: true,
      prefixes: { query: "query: " },
      providerOptions: (kind) => ({ mock: { inputType: kind === "query" ? "search_query" : "search_document" } }),
    });
    const [vector] = await encoder.encode(["a"], { kind: "query", width: 2 });
    expect([...vector!]).toEqual([expect.closeTo(0.6, 6), expect.closeTo(0.8, 6)]);
    expect(model.doEmbedCalls[0]).toEqual({
      values: ["query: a"],
      dimensions: 2,
      providerOptions: { mock: { inputType: "search_query" } },
    });
    expect(encoder.space({ width: 2 })).not.toBe(encoder.space({}));
  });

  it.each([
    ["an error", () => Promise.reject(new Error("no quota"))],
    ["too few vectors", async () => ({ embeddings: [[1]], warnings: [] })],
    ["unequal widths", async () => ({ embeddings: [[1, 2], [1]], warnings: [] })],
    ["a number that is none", async () => ({ embeddings: [[1], [Number.NaN]], warnings: [] })],
    ["empty vectors", async () => ({ embeddings: [[], []], warnings: [] })],
  ])("%s is MODEL_FAILED", async (_, doEmbed) => {
    const encoder = fromEmbeddingModel(new MockEmbeddingModelV4({ maxEmbeddingsPerCall: null, doEmbed }));
    await expect(encoder.encode(["a", "b"], { kind: "text" })).rejects.toMatchObject({ code: "MODEL_FAILED" });
  });

  it("refuses exits, widths that are not offered, and other versions; an abort ends it", async () => {
    const encoder = fromEmbeddingModel(mock(() => [1]));
    for (const how of [{ width: 1 }, { exit: 1 }])
      await expect(encoder.encode(["a"], { kind: "text", ...how })).rejects.toMatchObject({
        code: "MISSING_CAPABILITY",
      });
    expect(() => fromEmbeddingModel(new MockEmbeddingModelV3() as never)).toThrow(
      expect.objectContaining({ code: "BAD_ARGUMENT" }),
    );
    const controller = new AbortController();
    const reason = new Error("enough");
    setTimeout(() => controller.abort(reason), 5);
    const silent = fromEmbeddingModel(new MockEmbeddingModelV4({ doEmbed: () => new Promise(() => undefined) }));
    await expect(silent.encode(["a"], { kind: "text" }, controller.signal)).rejects.toBe(reason);
  });
});

describe("toEmbeddingModel", () => {
  const seen: unknown[] = [];
  const encoder: Encoder = {
    revision: "letters",
    space: () => "letters",
    async encode(texts, how) {
      seen.push({ texts, ...how });
      return texts.map((text) => Float32Array.of(text.length, 1));
    },
  };

  it("answers embed and embedMany", async () => {
    const model = toEmbeddingModel(encoder, { batch: 2 });
    const { embeddings } = await embedMany({ model, values: ["a", "bb", "ccc"] });
    expect(embeddings).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
    ]);
    const providerOptions = { tessera: { kind: "query" } };
    const { embedding } = await embed({ model, value: "aa", providerOptions });
    expect(cosineSimilarity(embedding, embeddings[1]!)).toBeCloseTo(1, 6);
    expect(seen).toEqual([
      { texts: ["a", "bb"], kind: "text", width: undefined },
      { texts: ["ccc"], kind: "text", width: undefined },
      { texts: ["aa"], kind: "query", width: undefined },
    ]);
    await expect(embed({ model, value: "a", providerOptions: { tessera: { kind: "no" } } })).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
    });
  });
});
