import { describe, expect, it } from "@jest/globals";
import { runOperator, testOperator } from "@tessera/testkit";
import { reflection } from "./reflection.js";

const score = async (input: object, config: object = {}) =>
  (await runOperator(reflection, config, { text: "A segment.", ...input })).score;

testOperator(reflection, {
  cases: [
    {
      name: "the end of a path scores nothing",
      input: { text: "", tokens: [], relevance: { relevant: 1 } },
      output: { candidate: { text: "", score: 0, finished: true }, score: 0 },
    },
    {
      name: "a segment of which nothing is known scores nothing, and goes on",
      input: { text: "A segment." },
      output: { candidate: { text: "A segment.", score: 0, finished: false }, score: 0 },
    },
  ],
});

describe("router.reflection", () => {
  it("row 55: equals the formula by hand on log-probabilities and chances", async () => {
    const logprobs = [Math.log(0.5), Math.log(0.5), Math.log(0.5)];
    const input = {
      tokens: logprobs.map((logprob) => ({ text: "t", logprob })),
      relevance: { relevant: 0.6, irrelevant: 0.2 },
      support: { fully: 0.2, partially: 0.2, not: 0.1 },
      usefulness: { "1": 0.1, "2": 0, "3": 0, "4": 0.1, "5": 0.2 },
    };
    // 0.5 + 0.75 + (0.4 + 0.5 * 0.4) + w * (-0.25 + 0.5 * 0.25 + 0.5)
    expect(await score(input)).toBeCloseTo(0.5 + 0.75 + 0.6 + 0.5 * 0.375, 12);
    expect(await score(input, { usefulness: 1 })).toBeCloseTo(0.5 + 0.75 + 0.6 + 0.375, 12);
    expect(await score(input, { relevance: 0, support: 2, usefulness: 0 })).toBeCloseTo(0.5 + 1.2, 12);
  });

  it("a judge that could not be read counts nothing", async () => {
    expect(await score({ relevance: { relevant: 0, irrelevant: 0 }, support: { fully: 1, not: 0 } })).toBe(1);
  });
});
