import { describe, expect, it } from "@jest/globals";
import type { Hit } from "@tessera/core";
import { runOperator, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { rrf } from "./rrf.js";

const hit = (id: string, score = 0, operator = "a"): Hit => ({
  passage: { id, text: id, metadata: {} },
  score,
  provenance: [{ operator, rank: 1, score }],
});
const list = (ids: string) => [...ids].map((id) => hit(id));
const table = (output: Record<string, unknown>) =>
  Object.fromEntries((output.hits as Hit[]).map(({ passage, score }) => [passage.id, score]));
const order = (output: Record<string, unknown>) => (output.hits as Hit[]).map(({ passage }) => passage.id).join("");

testOperator(rrf, {
  cases: [
    {
      name: "row 47: RRF, k = 60, rank from 1, equals the table by hand",
      input: { lists: [list("abc"), list("bd"), list("ca")] },
      output: (output) => {
        expect(order(output)).toBe("abcd");
        const expected = { a: 1 / 61 + 1 / 62, b: 1 / 62 + 1 / 61, c: 1 / 63 + 1 / 61, d: 1 / 62 };
        for (const [id, score] of Object.entries(expected)) expect(table(output)[id]).toBeCloseTo(score, 12);
      },
    },
    {
      name: "weighs lists by place, those beyond by 1",
      config: { k: 0, weights: [2] },
      input: { lists: [list("ab"), list("ba")] },
      output: (output) => expect(table(output)).toEqual({ a: 2.5, b: 2 }),
    },
    {
      name: "a passage counts once a list",
      config: { k: 0 },
      input: { lists: [list("aab")] },
      output: (output) => expect(table(output)).toEqual({ a: 1, b: 0.5 }),
    },
    {
      name: "keeps scores on the way and cuts",
      config: { k: 1, top: 1 },
      input: { lists: [[hit("a", 7, "x")], [hit("a", 3, "y")]] },
      output: (output) =>
        expect((output.hits as Hit[])[0]!.provenance).toEqual([
          { operator: "x", rank: 1, score: 7 },
          { operator: "y", rank: 1, score: 3 },
          { operator: "fuser.rrf", rank: 1, score: 1 },
        ]),
    },
    { name: "of nothing is nothing", input: { lists: [] }, output: { hits: [] } },
  ],
});

const ranked = fc.uniqueArray(fc.constantFrom(..."abcdef"), { maxLength: 6 }).map((ids) => ids.map((id) => hit(id)));

describe("fuser.rrf", () => {
  it("agrees with a naive twin, whatever the order of the lists", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(ranked, { maxLength: 4 }), async (lists) => {
        const forth = await runOperator(rrf, {}, { lists });
        const twin = [..."abcdef"]
          .map((id) => ({
            id,
            score: lists.reduce((sum, members) => {
              const place = members.findIndex(({ passage }) => passage.id === id);
              return place < 0 ? sum : sum + 1 / (60 + place + 1);
            }, 0),
          }))
          .filter(({ score }) => score > 0);
        expect(Object.keys(table(forth)).sort()).toEqual(twin.map(({ id }) => id));
        for (const { id, score } of twin) expect(table(forth)[id]).toBeCloseTo(score, 12);
        const back = await runOperator(rrf, {}, { lists: [...lists].reverse() });
        for (const { id, score } of twin) expect(table(back)[id]).toBeCloseTo(score, 12);
      }),
    );
  });
});
