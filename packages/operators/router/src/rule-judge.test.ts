import { describe, expect, it } from "@jest/globals";
import { runOperator, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { ruleJudge } from "./rule-judge.js";

const token = (text: string, probability: number) => ({ text, logprob: Math.log(probability) });
const config = { threshold: 0.5, mask: 0.25 };

testOperator(ruleJudge, {
  cases: [
    {
      name: "row 42: the rule judge accepts where the least probability is τ itself",
      config,
      input: { text: "Bern it is", tokens: [token("Bern", 0.5), token(" it", 1), token(" is", 0.75)] },
      output: (output) =>
        expect(output).toMatchObject({ accepted: true, judged: "tokens", lowest: expect.closeTo(0.5, 12) }),
    },
    {
      name: "row 42: the rule judge rejects just below τ",
      config,
      input: { text: "Bern", tokens: [token("Bern", 0.499999)] },
      output: (output) => expect(output).toMatchObject({ accepted: false, query: "Bern" }),
    },
    {
      name: "row 54: FLARE's query leaves out tokens of probability β and less",
      config,
      input: {
        text: "Joe Biden was born in 1950",
        tokens: [
          token("Joe", 0.9),
          token(" Biden", 0.9),
          token(" was born", 0.3),
          token(" in", 0.25),
          token(" 1950", 0.1),
        ],
      },
      output: (output) => expect(output).toMatchObject({ accepted: false, query: "Joe Biden was born" }),
    },
    {
      name: "a sentence of unsure tokens alone is the query itself",
      config,
      input: { text: " Perhaps. ", tokens: [token(" Perhaps", 0.1), token(".", 0.9)] },
      output: (output) => expect(output.query).toBe("Perhaps."),
    },
    {
      name: "without log-probabilities nothing is accepted, and it says so",
      config,
      input: { text: "Bern" },
      output: { accepted: false, query: "Bern", lowest: 0, judged: "no-tokens" },
    },
  ],
});

describe("router.rule-judge", () => {
  it("agrees with the rule: every probability is at least τ", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 0, max: 20 }),
        async (values, limit) => {
          const tokens = values.map((value) => ({ text: "x", logprob: Math.log(value / 20) }));
          const { accepted } = await runOperator(
            ruleJudge,
            { threshold: Math.max(0, limit / 20 - 1e-9) },
            { text: "x", tokens },
          );
          expect(accepted).toBe(values.every((value) => value >= limit));
        },
      ),
    );
  });
});
