import { describe, expect, it } from "@jest/globals";
import { flow, type Hit, is } from "@tessera/core";
import { testOperator } from "@tessera/testkit";
import { threshold } from "./threshold.js";

const hit = (score: number): Hit => ({ passage: { id: String(score), text: "", metadata: {} }, score, provenance: [] });
// the thresholds of CRAG on PopQA
const config = { choices: ["incorrect", "ambiguous", "correct"], cuts: [-0.995, 0.592] };

testOperator(threshold, {
  cases: [
    { name: "below every cut", config, input: { value: -1 }, output: { choice: "incorrect" } },
    { name: "a cut belongs above itself", config, input: { value: -0.995 }, output: { choice: "ambiguous" } },
    { name: "just below a cut", config, input: { value: 0.591 }, output: { choice: "ambiguous" } },
    { name: "above every cut", config, input: { value: 0.592 }, output: { choice: "correct" } },
    {
      name: "of hits it takes the best",
      config: { ...config, of: "hits" },
      input: { hits: [hit(-1), hit(0.7), hit(0)] },
      output: { choice: "correct" },
    },
    {
      name: "no hits are below every cut",
      config: { ...config, of: "hits" },
      input: { hits: [] },
      output: { choice: "incorrect" },
    },
  ],
});

describe("router.threshold", () => {
  it.each([
    [
      ["a", "b"],
      [1, 2],
    ],
    [
      ["a", "b", "c"],
      [2, 2],
    ],
    [["a"], []],
  ])("refuses choices %j with cuts %j", (choices, cuts) => {
    expect(threshold.config.safeParse({ choices, cuts }).success).toBe(false);
  });

  it("its ports follow from its config, also in TypeScript", () => {
    flow("typed", { found: "hits", score: "number" }, (f, { found, score }) => {
      const { choice } = f.node("a", threshold({ choices: ["low", "high"], cuts: [0.5], of: "hits" }), { hits: found });
      f.node("b", threshold({ choices: ["x", "y"], cuts: [1] }), { value: score }, { when: is(choice, "low", "high") });
      // @ts-expect-error there is no such choice
      f.node("c", threshold({ choices: ["x", "y"], cuts: [1] }), { value: score }, { when: is(choice, "middle") });
      // @ts-expect-error it measures hits here
      f.node("d", threshold({ choices: ["x", "y"], cuts: [1], of: "hits" }), { value: score });
      return { choice };
    });
  });
});
