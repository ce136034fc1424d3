import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import type { QuestionResult } from "../runs/results.js";
import { compare, summarise } from "./figures.js";

const resultOf = (id: string, value: number | undefined, flow = "f"): QuestionResult => ({
  flow,
  hash: flow,
  revision: "r",
  id,
  question: `question ${id}`,
  measures: value === undefined ? {} : { recall: value },
  ...(value === undefined && { error: { code: "NODE_FAILED", message: "no" } }),
});

const value = fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined });

describe("summarise", () => {
  it("leaves failed questions out of the means, and counts them", () => {
    const summary = summarise([resultOf("1", 1), resultOf("2", undefined), resultOf("3", 0)]);
    expect(summary).toMatchObject({
      flow: "f",
      questions: 3,
      failed: 1,
      figures: [{ flow: "f", metric: "recall", mean: 0.5, count: 2 }],
    });
  });

  it("refuses results of several flows, and none", () => {
    expect(() => summarise([resultOf("1", 1), resultOf("1", 1, "g")])).toThrow("2 flows");
    expect(() => summarise([])).toThrow("there are none");
    expect(summarise([resultOf("1", undefined)])).toMatchObject({ failed: 1, figures: [] });
  });
});

describe("compare", () => {
  it("row 61: agrees with counting by hand, whatever the order of the files", () => {
    const sides = fc.array(fc.tuple(value, value), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(sides, (rows) => {
        const pairs = rows.filter(([a, b]) => a !== undefined && b !== undefined) as [number, number][];
        fc.pre(pairs.length > 0);
        const left = rows.map(([a], i) => resultOf(`${i}`, a, "old"));
        const right = rows.map(([, b], i) => resultOf(`${i}`, b, "new")).reverse();
        const { unpaired, differences, ...names } = compare(left, right, { resamples: 20 });
        expect(names).toEqual({ left: "old", right: "new" });
        expect(unpaired).toBe(rows.length - pairs.length);
        const [difference] = differences;
        expect(difference!.larger).toBe(pairs.filter(([a, b]) => b > a).length);
        expect(difference!.smaller).toBe(pairs.filter(([a, b]) => b < a).length);
        expect(difference!.equal).toBe(pairs.filter(([a, b]) => b === a).length);
        const sum = pairs.reduce((total, [a, b]) => total + b - a, 0);
        expect(difference!.difference.mean).toBeCloseTo(sum / pairs.length, 12);
        expect(difference!.right - difference!.left).toBeCloseTo(sum / pairs.length, 12);
        const sizes = difference!.questions.map(({ difference }) => Math.abs(difference));
        expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
        expect(sizes).not.toContain(0);
      }),
    );
  });

  it("counts the questions of one side alone, and refuses files without a common one", () => {
    const left = [resultOf("1", 1), resultOf("2", 1)];
    expect(compare(left, [resultOf("2", 0), resultOf("3", 1)])).toMatchObject({
      unpaired: 2,
      differences: [{ questions: [{ id: "2", question: "question 2", left: 1, right: 0, difference: -1 }] }],
    });
    expect(() => compare(left, [resultOf("9", 1)])).toThrow("no question was answered by both");
  });
});
