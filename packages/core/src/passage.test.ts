import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { cite, type Hit, rank, whereOf } from "./passage.js";

const hitOf = (id: string): Hit => ({
  passage: { id, text: "", metadata: {} },
  score: 0,
  provenance: [{ operator: "retriever.sparse", rank: 1, score: 9 }],
});

describe("rank", () => {
  it("orders by score, then by id, whatever the order it is given, and keeps the scores of the way", () => {
    const entries = fc.uniqueArray(
      fc.record({ id: fc.stringMatching(/^[a-c]{1,3}$/), score: fc.integer({ min: 0, max: 3 }) }),
      {
        selector: ({ id }) => id,
      },
    );
    fc.assert(
      fc.property(entries, fc.nat({ max: 5 }), (list, top) => {
        const scored = list.map(({ id, score }) => ({ hit: hitOf(id), score }));
        const ranked = rank("test.rank", scored, top);
        expect(rank("test.rank", [...scored].reverse(), top)).toEqual(ranked);
        // the naive twin: take the best of what is left, again and again
        const left = [...list];
        const expected: string[] = [];
        while (left.length > 0 && expected.length < top) {
          const best = left.reduce((a, b) => (b.score > a.score || (b.score === a.score && b.id < a.id) ? b : a));
          expected.push(best.id);
          left.splice(left.indexOf(best), 1);
        }
        expect(ranked.map(({ passage }) => passage.id)).toEqual(expected);
        ranked.forEach(({ score, provenance }, index) => {
          expect(provenance).toEqual([
            { operator: "retriever.sparse", rank: 1, score: 9 },
            { operator: "test.rank", rank: index + 1, score },
          ]);
        });
      }),
    );
  });
});

describe("cite", () => {
  it("points to the place of a passage, as far as it has one", () => {
    const passage = { id: "p", text: "", metadata: {} };
    expect(cite(1, passage)).toEqual({ marker: 1, passage: "p" });
    expect(cite(2, { ...passage, source: { path: "a.ts", lines: [3, 9], symbol: "run" } })).toEqual({
      marker: 2,
      passage: "p",
      path: "a.ts",
      lines: [3, 9],
      symbol: "run",
    });
  });
});

describe("whereOf", () => {
  it("names the place as a person looks for it", () => {
    const path = "a/b.x";
    expect(whereOf({ path, lines: [3, 9] })).toBe("a/b.x:3-9");
    expect(whereOf({ path })).toBe("a/b.x");
    expect(whereOf({ path, place: { unit: "page", from: 2, to: 2 } })).toBe("a/b.x, page 2");
    expect(whereOf({ path, place: { unit: "page", from: 2, to: 4 } })).toBe("a/b.x, pages 2-4");
    expect(whereOf({ path, place: { unit: "row", from: 7, to: 7, inside: ["fees.xlsx", "Summer"] } })).toBe(
      "a/b.x, fees.xlsx, Summer, row 7",
    );
    expect(whereOf({ path, lines: [1, 2], place: { unit: "part", from: 1, to: 1, inside: ["x.md"] } })).toBe(
      "a/b.x, x.md",
    );
    expect(whereOf({})).toBe("");
  });
});
