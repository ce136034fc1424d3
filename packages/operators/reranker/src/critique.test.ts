import { describe, expect, it } from "@jest/globals";
import type { Hit } from "@tessera/core";
import { hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import { critique } from "./critique.js";

const hit = (id: string): Hit => ({ passage: { id, text: `passage ${id}`, metadata: {} }, score: 1, provenance: [] });
const verdicts = (table: Record<string, string>) =>
  hostOf({ "model/main": scriptedModel(({ messages }) => table[/passage (\w)\n/.exec(messages[1]!.content)![1]!]!) });
const config = { model: "main" };

testOperator(critique, {
  host: () => verdicts({ a: "No.", b: "Yes, it does.", c: "perhaps", d: "**no**" }),
  cases: [
    {
      name: "row 32: LLM-critique drops what is no help, keeps text and order (equation 14), and what it cannot read",
      config,
      input: { query: "q", hits: ["a", "b", "c", "d"].map(hit) },
      output: { hits: [hit("b"), hit("c")], dropped: [hit("a"), hit("d")], by: ["text", "text", "default", "text"] },
    },
    {
      name: "hits beyond those judged are kept",
      config: { ...config, hits: 1 },
      input: { query: "q", hits: ["a", "d"].map(hit) },
      output: { hits: [hit("d")], dropped: [hit("a")], by: ["text"] },
    },
    {
      name: "nothing stays nothing",
      config,
      input: { query: "q", hits: [] },
      output: { hits: [], dropped: [], by: [] },
    },
  ],
});

describe("reranker.critique", () => {
  it("takes the chance of yes from the first token where the model has log-probabilities, and says so", async () => {
    const chances: Record<string, number> = { a: 0.4, b: 0.6 };
    const model = scriptedModel(() => "Yes", {
      capabilities: ["logprobs"],
      alternatives: (_, { messages }) => {
        const yes = chances[/passage (\w)\n/.exec(messages[1]!.content)![1]!]!;
        return [
          { text: "Yes", logprob: Math.log(yes) },
          { text: "No", logprob: Math.log(1 - yes) },
        ];
      },
    });
    const host = () => hostOf({ "model/main": model });
    const run = (least: number) =>
      runOperator(critique, { ...config, least }, { query: "q", hits: ["a", "b"].map(hit) }, { host: host() });
    expect(await run(0.5)).toEqual({ hits: [hit("b")], dropped: [hit("a")], by: ["probability", "probability"] });
    expect((await run(0.3)).hits).toEqual([hit("a"), hit("b")]);
  });

  it("row 32: LLM-critique keeps at least one, the first where all are judged alike", async () => {
    const host = () => verdicts({ a: "No", b: "No", c: "No" });
    const run = (settings: object) =>
      runOperator(
        critique,
        { ...config, ...settings },
        { query: "q", hits: ["a", "b", "c"].map(hit) },
        { host: host() },
      );
    expect((await run({})).hits).toEqual([hit("a")]);
    expect((await run({ keep: 2 })).hits).toEqual([hit("a"), hit("b")]);
  });
});
