import { describe, expect, it } from "@jest/globals";
import { unit } from "@tessera/models/internal";
import fc from "fast-check";
import { lineChart } from "../../reports/line-chart.js";
import { chooseWeight, fuseRanks, ownReciprocal, ranksOf, searchVectors, searchWords } from "./search.js";

const vectors = (count: number) =>
  fc.array(
    fc
      .array(fc.integer({ min: -4, max: 4 }), { minLength: 6, maxLength: 6 })
      .map((numbers) => unit(Float32Array.from(numbers, (number) => number || 0.5))),
    { minLength: count, maxLength: count },
  );

describe("the figures of an encoder", () => {
  it("ranks by width as cutting, scaling and comparing every pair does", () => {
    fc.assert(
      fc.property(vectors(7), vectors(7), fc.constantFrom(3, 7), (queries, codes, pool) => {
        for (const [width, ranks] of ranksOf(queries, codes, [2, 4, 6], pool))
          for (const [i, query] of queries.entries()) {
            const first = i - (i % pool);
            const score = (j: number): number => {
              const [q, c] = [unit(query, width), unit(codes[j]!, width)];
              return q.reduce((sum, value, k) => sum + value * c[k]!, 0);
            };
            const block = [...codes.keys()].filter((j) => j >= first && j < first + pool);
            const scores = block.map((j) => ({ j, score: score(j) }));
            // scores that differ by rounding alone may fall either way
            const clear = scores.filter((other) => other.score > score(i) + 1e-5).length;
            const close = scores.filter((other) => other.score > score(i) - 1e-5).length;
            expect(ranks[i]).toBeGreaterThanOrEqual(clear + 1);
            expect(ranks[i]).toBeLessThanOrEqual(close);
          }
      }),
      { numRuns: 50 },
    );
  });

  it("finds by vectors within a block, and by words within a block", async () => {
    const axes = [0, 1, 2, 3].map((axis) => Float32Array.from([0, 1, 2, 3], (i) => Number(i === axis)));
    expect(searchVectors(axes, axes, 2, 1)).toEqual([[0], [1], [2], [3]]);
    const pairs = ["sort list", "parse json", "sort list", "open file"].map((text) => ({ text, code: `// ${text}` }));
    expect(ownReciprocal(await searchWords(pairs, 2, 1))).toEqual([1, 1, 1, 1]);
  });

  it("fuses as the sums by hand say, and chooses the weight that helps", () => {
    // 0: .75/61 + .25/62, 1: .75/62 + .25/61
    expect(fuseRanks([0, 1], [1, 0], 0.75)).toEqual([0, 1]);
    expect(fuseRanks([0, 1], [1, 0], 0.25)).toEqual([1, 0]);
    expect(
      chooseWeight(
        [
          [0, 1],
          [1, 0],
        ],
        [
          [1, 0],
          [0, 1],
        ],
      ),
    ).toBeGreaterThan(0.5); // the words are right
    expect(
      chooseWeight(
        [
          [1, 0],
          [0, 1],
        ],
        [
          [0, 1],
          [1, 0],
        ],
      ),
    ).toBeLessThan(0.5);
  });

  it("draws every point, and nothing that a name could break out of", () => {
    const drawing = lineChart({
      title: "<script>",
      x: "a",
      y: "b",
      lines: [
        {
          name: "one & two",
          points: [
            { x: 1, y: 0.5, label: "p" },
            { x: 2, y: 0.6 },
          ],
        },
      ],
    });
    expect(drawing.match(/<circle/g)).toHaveLength(3);
    expect(drawing).not.toContain("<script>");
    expect(drawing).not.toMatch(/NaN|Infinity/);
  });
});
