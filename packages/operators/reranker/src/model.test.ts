import { describe, expect, it } from "@jest/globals";
import type { Hit } from "@tessera/core";
import { contextOf, hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { readPermutation } from "./listwise.js";
import { modelRerank } from "./model.js";

const hit = (id: string): Hit => ({ passage: { id, text: `passage ${id}`, metadata: {} }, score: 1, provenance: [] });
const list = (ids: string) => [...ids].map(hit);
const order = (output: Record<string, unknown>) => (output.hits as Hit[]).map(({ passage }) => passage.id).join("");
const hostWith = (model: ReturnType<typeof scriptedModel>) => hostOf({ "model/main": model });
const config = { model: "main" };

testOperator(modelRerank, {
  host: () => hostWith(scriptedModel(() => "The order is [3] > [1] > [3] > [9].")),
  cases: [
    {
      name: "row 29: listwise model rerank completes a permutation in the old order",
      config,
      input: { query: "q", hits: list("abcd") },
      output: (output) => {
        expect(order(output)).toBe("cabd");
        expect(output.by).toBe("listwise");
        expect((output.hits as Hit[]).map(({ score }) => score)).toEqual([1, 1 / 2, 1 / 3, 1 / 4]);
      },
    },
    { name: "nothing stays nothing", config, input: { query: "q", hits: [] }, output: { hits: [], by: "default" } },
  ],
});

/** Three passages, each judged by itself. */
const pointwise = (host: ReturnType<typeof hostWith>) =>
  runOperator(modelRerank, { ...config, style: "pointwise" }, { query: "q", hits: list("abc") }, { host });

describe("reranker.model", () => {
  it.each(["listwise", "pointwise"])("row 29: unparsable %s output falls back to input order", async (style) => {
    const host = hostWith(scriptedModel(() => "who knows, yes or no"));
    const output = await runOperator(modelRerank, { ...config, style }, { query: "q", hits: list("cab") }, { host });
    expect([order(output), output.by]).toEqual(["cab", "default"]);
  });

  it("windows move from the back to the front, so that the best can rise all the way", async () => {
    // reverses each window; with window 4 and step 2 over abcdef: [cdef] → fedc, then [abfe] → efba
    const model = scriptedModel(() => "[4] > [3] > [2] > [1]");
    const context = contextOf();
    const settings = { ...config, window: 4, step: 2, hits: 6 };
    const output = await runOperator(
      modelRerank,
      settings,
      { query: "q", hits: list("abcdefz") },
      { host: hostWith(model), context },
    );
    expect(order(output)).toBe("efbadcz");
    expect(context.spent.calls).toBe(modelRerank.bound!(modelRerank.config.parse(settings)).calls);
  });

  it("pointwise takes P(yes) from the first token", async () => {
    const chances: Record<string, number> = { a: 0.2, b: 0.9, c: 0.5 };
    const host = hostWith(
      scriptedModel(() => "Yes", {
        capabilities: ["logprobs"],
        alternatives: (_, { messages }) => {
          const yes = chances[/passage ([abc])\n/.exec(messages[1]!.content)![1]!]!;
          return [
            { text: "Yes", logprob: Math.log(yes / 2) },
            { text: " no", logprob: Math.log((1 - yes) / 2) },
          ];
        },
      }),
    );
    const output = await pointwise(host);
    expect([order(output), output.by]).toEqual(["bca", "probability"]);
    for (const [place, chance] of [0.9, 0.5, 0.2].entries())
      expect((output.hits as Hit[])[place]!.score).toBeCloseTo(chance, 9);
  });

  it("pointwise without log-probabilities takes 1 and 0 by the text, and says so", async () => {
    const host = hostWith(scriptedModel(({ messages }) => (messages[1]!.content.includes("passage b") ? "Yes" : "No")));
    const output = await pointwise(host);
    expect([order(output), output.by]).toEqual(["bac", "text"]);
    expect((output.hits as Hit[]).map(({ score }) => score)).toEqual([1, 0, 0]);
  });

  it("row 29: the output is a permutation (equation 12), whatever the model says", async () => {
    const said = fc.string({ unit: fc.constantFrom("1", "2", "7", "[", "]", ">", " ", "y") });
    await fc.assert(
      fc.asyncProperty(said, fc.integer({ min: 1, max: 7 }), async (answer, count) => {
        const found = list("abcdefg".slice(0, count));
        const host = hostWith(scriptedModel(() => answer || " "));
        const output = await runOperator(
          modelRerank,
          { ...config, window: 3, step: 2 },
          { query: "q", hits: found },
          { host },
        );
        expect([...order(output)].sort().join("")).toBe("abcdefg".slice(0, count));
        for (const { passage } of output.hits as Hit[]) expect(passage).toEqual(hit(passage.id).passage);
      }),
    );
  });

  it("reads permutations", () => {
    expect(readPermutation("2 > 1", 3)).toEqual([1, 0, 2]);
    expect(readPermutation("[0] [4]", 3)).toBeUndefined();
  });
});
