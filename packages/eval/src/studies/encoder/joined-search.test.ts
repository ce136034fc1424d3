import { describe, expect, it } from "@jest/globals";
import { chooseShare, joinedReciprocals } from "./joined-search.js";

/** Two queries over a block of two codes. */
const found = [
  { words: new Map([[1, 3]]), hash: Float64Array.of(0.2, 0.8), model: Float64Array.of(0.9, 0.1) },
  {
    words: new Map([
      [1, 5],
      [0, 1],
    ]),
    hash: Float64Array.of(0.1, 0.6),
    model: Float64Array.of(0.7, 0.3),
  },
];

describe("the figures of a joined encoder", () => {
  it("fuse words and vectors by their scores, a tie against the query's own code", () => {
    // by hash: code 0 has 0, code 1 has 1 + 1; by the model code 0 has 1 and code 1 has 1, a tie
    expect(joinedReciprocals(found, 0, 2)).toEqual([0.5, 1]);
    expect(joinedReciprocals(found, 1, 2)).toEqual([0.5, 0.5]);
  });

  it("do not find what neither list holds", () => {
    const alone = [
      { words: new Map<number, number>(), hash: new Float64Array(60).fill(1), model: new Float64Array(60) },
    ];
    const last = [
      ...Array<(typeof alone)[0]>(59).fill(alone[0]!),
      { ...alone[0]!, hash: Float64Array.from({ length: 60 }, (_, i) => 60 - i) },
    ];
    expect(joinedReciprocals(last, 0, 60).at(-1)).toBe(0);
  });

  it("choose the share with the best mean, the smaller of equals", () => {
    expect(chooseShare(found, 2)).toBe(0);
    const better = found.map((own) => ({ ...own, words: new Map([[0, 1]]), model: Float64Array.of(1, 0) }));
    expect(chooseShare([better[0]!], 2)).toBeGreaterThan(0);
  });
});
