import { describe, expect, it } from "@jest/globals";
import { rerank } from "ai";
import { MockRerankingModelV3, MockRerankingModelV4 } from "ai/test";
import { fromRerankingModel } from "./from-reranking-model.js";
import { toRerankingModel } from "./to-reranking-model.js";

describe("fromRerankingModel", () => {
  it("gives one score a text, in the order of the texts", async () => {
    const calls: unknown[] = [];
    const model = new MockRerankingModelV4({
      provider: "mock",
      modelId: "judge",
      doRerank: async (call) => {
        calls.push(call);
        return {
          ranking: [
            { index: 1, relevanceScore: 0.9 },
            { index: 0, relevanceScore: 0.1 },
          ],
        };
      },
    });
    const reranker = fromRerankingModel(model);
    expect(await reranker.rank("q", ["a", "b"])).toEqual([0.1, 0.9]);
    expect(calls).toEqual([{ query: "q", documents: { type: "text", values: ["a", "b"] } }]);
    expect(await reranker.rank("q", [])).toEqual([]);
    expect(reranker.revision).toBe("ai-sdk:mock/judge");
  });

  it.each([
    ["a text without a score", async () => ({ ranking: [{ index: 0, relevanceScore: 1 }] })],
    [
      "a score that is no number",
      async () => ({ ranking: [0, 1].map((index) => ({ index, relevanceScore: Number.NaN })) }),
    ],
    ["an error", () => Promise.reject(new Error("no quota"))],
  ])("%s is MODEL_FAILED", async (_, doRerank) => {
    const reranker = fromRerankingModel(new MockRerankingModelV4({ doRerank }));
    await expect(reranker.rank("q", ["a", "b"])).rejects.toMatchObject({ code: "MODEL_FAILED" });
  });

  it("refuses other versions; an abort ends it", async () => {
    expect(() => fromRerankingModel(new MockRerankingModelV3() as never)).toThrow(
      expect.objectContaining({ code: "BAD_ARGUMENT" }),
    );
    const reason = new Error("enough");
    const reranker = fromRerankingModel(new MockRerankingModelV4({ doRerank: async () => ({ ranking: [] }) }));
    await expect(reranker.rank("q", ["a"], AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});

it("toRerankingModel answers rerank, with texts and with objects", async () => {
  const byLength = {
    revision: "length",
    rank: async (_: string, texts: readonly string[]) => texts.map((t) => t.length),
  };
  const model = toRerankingModel(byLength);
  const texts = await rerank({ model, query: "q", documents: ["a", "ccc", "bb"], topN: 2 });
  expect(texts.rerankedDocuments).toEqual(["ccc", "bb"]);
  const objects = await rerank({ model, query: "q", documents: [{ a: 1 }, { a: 100 }] });
  expect(objects.ranking.map(({ originalIndex, score }) => [originalIndex, score])).toEqual([
    [1, 9],
    [0, 7],
  ]);
});
