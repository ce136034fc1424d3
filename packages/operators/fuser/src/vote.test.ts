import { describe, expect, it } from "@jest/globals";
import type { Answer, Hit } from "@tessera/core";
import { runOperator, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { lambdas } from "./lambda.js";
import { vote } from "./vote.js";

const hit = (id: string, score: number): Hit => ({ passage: { id, text: id, metadata: {} }, score, provenance: [] });
const said = (text: string, refused = false): Answer => ({ text, citations: [], refused });

// λ of scores ln 1, ln 2, ln 5 is 1/8, 2/8, 5/8
const three = [hit("a", Math.log(1)), hit("b", Math.log(2)), hit("c", Math.log(5))];

testOperator(vote, {
  cases: [
    {
      name: "row 46: equal answers add up their λ (equations 23 and 24)",
      input: { answers: [said("Paris"), said("Rome"), said("the paris.")], hits: three },
      output: { answer: said("Paris"), share: expect.closeTo(6 / 8, 12) },
    },
    {
      // similarities 0.9, 0.8, 0.5; mean log-probabilities ln 0.2, ln 0.4, ln 0.4:
      // Paris 0.9·0.2 + 0.5·0.4 = 0.38, Rome 0.8·0.4 = 0.32
      name: "row 46: the answer level equals REPLUG's script, similarity · exp(mean log-probability)",
      config: { weights: "similarity" },
      input: {
        answers: [said("Paris"), said("Rome"), said("Paris")],
        hits: [hit("a", 0.9), hit("b", 0.8), hit("c", 0.5)],
        logprobs: [Math.log(0.2), Math.log(0.4), Math.log(0.4)],
      },
      output: { answer: said("Paris"), share: expect.closeTo(0.38 / 0.7, 12) },
    },
    {
      name: "a branch that failed, and a refusal, have no vote",
      input: { answers: [null, said("I do not know", true), said("Rome")], hits: three },
      output: { answer: said("Rome"), share: 1 },
    },
    {
      name: "where all refuse the answer is a refusal",
      input: { answers: [said("no", true), null, null], hits: three },
      output: { answer: said("no", true), share: 0 },
    },
    {
      name: "of nothing it is one too",
      input: { answers: [], hits: [] },
      output: { answer: said("", true), share: 0 },
    },
  ],
});

describe("fuser.vote", () => {
  // λ is 1/8 for the first, 2/8 for the other and 5/8 for the second
  it.each([
    ["their markers of citations differ", "tugs [1]", "Tugs.[1][2]", "boats", true],
    ["markers are of another form", "tugs【1†source】", "tugs [passage 2]", "boats", true],
    ["emphasis and links differ", "**Tugs**", "[tugs](https://a.example/b)", "boats", true],
    ["words stand without spaces", "東京都です。", "東京都 です", "大阪", true],
    ["a sign is part of the name", "C#", "C++", "Java", false],
    ["a point is part of the number", "3.5", "35", "4", false],
    ["a sign is part of the number", "-5", "5", "4", false],
    ["an index is part of the code", "`rows[0]`", "`rows[1]`", "`row`", false],
  ])("counts answers as metrics compare them, where %s", async (_, first, second, other, isOne) => {
    const answers = [said(first), said(other), said(second)];
    const { answer, share } = await runOperator(vote, {}, { answers, hits: three });
    expect([answer, share]).toEqual([said(isOne ? first : second), expect.closeTo((isOne ? 6 : 5) / 8, 12)]);
  });

  it("takes no part of a word for an article", async () => {
    const answers = [said("a año"), said("ño"), said("año")];
    // λ is 1/8 + 5/8 for "año", and 2/8 for "ño"
    expect(await runOperator(vote, {}, { answers, hits: three })).toEqual({
      answer: said("a año"),
      share: expect.closeTo(6 / 8, 12),
    });
  });

  it("answers are as many as hits", async () => {
    await expect(runOperator(vote, {}, { answers: [said("a")], hits: [] })).rejects.toMatchObject({
      code: "BAD_VALUE",
    });
  });

  it("λ sums to 1, also for scores that an exponential could not hold", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 20 }),
        (scores) => {
          const weights = lambdas(
            scores.map((score) => hit("x", score)),
            0.1,
          );
          expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 9);
        },
      ),
    );
  });
});
