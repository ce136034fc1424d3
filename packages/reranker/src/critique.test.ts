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
      output: { hits: [hit("b"), hit("c")], dropped: [hit("a"), hit("d")] },
    },
    {
      name: "hits beyond those judged are kept",
      config: { ...config, hits: 1 },
      input: { query: "q", hits: ["a", "d"].map(hit) },
      output: { hits: [hit("d")], dropped: [hit("a")] },
    },
    { name: "nothing stays nothing", config, input: { query: "q", hits: [] }, output: { hits: [], dropped: [] } },
  ],
});

describe("reranker.critique", () => {
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
