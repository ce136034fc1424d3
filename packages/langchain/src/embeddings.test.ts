import { describe, expect, it } from "@jest/globals";
import { FakeEmbeddings, SyntheticEmbeddings } from "@langchain/core/utils/testing";
import { fromEmbeddings } from "./embeddings.js";

describe("fromEmbeddings", () => {
  const encoder = fromEmbeddings(new SyntheticEmbeddings({ vectorSize: 8 }), { space: "synthetic-8" });

  it("gives unit vectors in order, in a named space", async () => {
    const vectors = await encoder.encode(["one text", "another, longer text"], { kind: "text" });
    expect(vectors).toHaveLength(2);
    for (const vector of vectors) {
      expect(vector).toHaveLength(8);
      expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
    }
    const [second] = await encoder.encode(["another, longer text"], { kind: "query" });
    expect(vectors[1]).toEqual(second);
    expect(encoder.space({})).toBe("synthetic-8");
    expect(encoder.revision).toBe("synthetic-8");
    expect(await encoder.encode([], { kind: "text" })).toEqual([]);
  });

  it("asks for queries and documents by their own calls", async () => {
    class Counting extends FakeEmbeddings {
      calls: string[] = [];
      override async embedQuery(text: string) {
        this.calls.push(`query ${text}`);
        return super.embedQuery(text);
      }
      override async embedDocuments(texts: string[]) {
        this.calls.push(`documents ${texts.join(",")}`);
        return super.embedDocuments(texts);
      }
    }
    const counting = new Counting();
    const counted = fromEmbeddings(counting, { space: "fake" });
    await counted.encode(["a", "b"], { kind: "query" });
    await counted.encode(["c", "d"], { kind: "code" });
    expect(counting.calls).toEqual(["query a", "query b", "documents c,d"]);
  });

  it("settles when it is aborted", async () => {
    const slow = fromEmbeddings(
      { embedQuery: () => new Promise(() => {}), embedDocuments: () => new Promise(() => {}) },
      { space: "slow" },
    );
    const reason = new Error("enough");
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 10);
    await expect(slow.encode(["a"], { kind: "text" }, controller.signal)).rejects.toBe(reason);
    await expect(slow.encode(["a"], { kind: "text" }, AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  const broken = (documents: () => Promise<number[][]>) =>
    fromEmbeddings({ embedQuery: async () => [], embedDocuments: documents }, { space: "broken" });
  it.each([
    ["an error", async () => Promise.reject(new Error("no quota"))],
    ["too few vectors", async () => [[1, 2]]],
    ["unequal widths", async () => [[1, 2], [1]]],
    ["a number that is none", async () => [[1], [Number.NaN]]],
    ["an empty vector", async () => [[], []]],
  ])("%s is MODEL_FAILED", async (_, documents) => {
    await expect(
      broken(documents as () => Promise<number[][]>).encode(["a", "b"], { kind: "text" }),
    ).rejects.toMatchObject({ code: "MODEL_FAILED" });
  });

  it("has no exits and widths", async () => {
    await expect(encoder.encode(["a"], { kind: "text", width: 4 })).rejects.toMatchObject({
      code: "MISSING_CAPABILITY",
    });
  });
});
