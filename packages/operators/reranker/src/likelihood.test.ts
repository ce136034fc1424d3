import { describe, expect, it } from "@jest/globals";
import type { Hit } from "@tessera/core";
import { hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import { likelihood } from "./likelihood.js";

const hit = (id: string, text = `passage ${id}`): Hit => ({
  passage: { id, text, metadata: {} },
  score: 1,
  provenance: [],
});

/** A model for which a question is the likelier the more of its words the text before it has. */
const overlap = () => {
  const asked: unknown[] = [];
  const model = {
    ...scriptedModel(() => ""),
    capabilities: new Set(["score"] as const),
    async score(request: { messages: readonly { content: string }[]; text: string }) {
      asked.push(request);
      const before = request.messages[0]!.content;
      const words = request.text.trim().split(" ");
      const tokens = words.map((word) => ({ text: ` ${word}`, logprob: before.includes(word) ? -1 : -3 }));
      return { tokens, usage: { prompt: 5, completion: words.length } };
    },
  };
  return { model, asked };
};
const ids = (found: readonly Hit[]): string[] => found.map(({ passage }) => passage.id);

testOperator(likelihood, {
  host: () => hostOf({ "model/main": overlap().model }),
  cases: [
    { name: "nothing stays nothing", config: { model: "main" }, input: { query: "q", hits: [] }, output: { hits: [] } },
  ],
});

describe("reranker.likelihood", () => {
  const found = [hit("a", "parse a header"), hit("b", "open a socket"), hit("c", "open the file"), hit("d", "nothing")];

  it("orders by the mean log-probability of the question, and leaves those behind the depth in their order", async () => {
    const { model, asked } = overlap();
    const run = async (depth: number): Promise<readonly Hit[]> =>
      (
        await runOperator(
          likelihood,
          { model: "main", depth },
          { query: "open file", hits: found },
          { host: hostOf({ "model/main": model }) },
        )
      ).hits as readonly Hit[];
    const hits = await run(3);
    expect(ids(hits)).toEqual(["c", "b", "a", "d"]);
    expect(hits.map(({ score }) => score)).toEqual([-1, -2, -3, -4]);
    expect(asked).toHaveLength(3);
    expect(asked[0]).toEqual({
      messages: [{ role: "user", content: "parse a header\n\nA question that this code answers:" }],
      text: " open file",
      plain: true,
    });
    expect(ids(await run(1))).toEqual(["a", "b", "c", "d"]);
  });

  it("refuses a model that cannot score", async () => {
    const host = hostOf({ "model/main": scriptedModel(() => "") });
    await expect(
      runOperator(likelihood, { model: "main" }, { query: "q", hits: found }, { host }),
    ).rejects.toMatchObject({
      code: "MISSING_CAPABILITY",
    });
  });
});
