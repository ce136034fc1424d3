import { describe, expect, it } from "@jest/globals";
import { flow, type Hit, named } from "@tessera/core";
import { runOperator, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { rrf } from "./rrf.js";
import { weighted } from "./weighted.js";

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

testOperator(weighted, {
  cases: [
    {
      name: "equals the table by hand, min-max",
      config: { weights: { sparse: 1, dense: 3 } },
      input: { lists: { sparse: [hit("a", 10), hit("b", 6), hit("c", 2)], dense: [hit("b", 0.9), hit("d", 0.5)] } },
      output: (output) => expect(table(output)).toEqual({ a: 1, b: 3.5, c: 0, d: 0 }),
    },
    {
      name: "equals the table by hand, sum",
      config: { normalise: "sum" },
      input: { lists: { x: [hit("a", 5), hit("b", 2), hit("c", 1)], y: [hit("c", -1), hit("a", -1)] } },
      output: (output) => expect(table(output)).toEqual({ a: 4 / 5 + 1 / 2, b: 1 / 5, c: 1 / 2 }),
    },
    {
      name: "takes scores as they are where it is told to",
      config: { normalise: "none", weights: { x: 0.5, gone: 9 } },
      input: { lists: { x: [hit("a", 4)] } },
      output: (output) => expect(table(output)).toEqual({ a: 2 }),
    },
    {
      name: "a list of equal scores gives full marks, and an empty one nothing",
      input: { lists: { x: [hit("b", 3), hit("a", 3)], y: [] } },
      output: (output) => expect(table(output)).toEqual({ a: 1, b: 1 }),
    },
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

describe("fuser.weighted", () => {
  it("does not let a misspelt name pass", async () => {
    await expect(
      runOperator(weighted, { weights: { sparse: 1 } }, { lists: { sparce: [hit("a")] } }),
    ).rejects.toMatchObject({ code: "BAD_INPUT", hint: 'did you mean "sparse"?' });
  });

  it("has no names that objects have", async () => {
    await expect(
      runOperator(weighted, { weights: { a: 1 } }, { lists: { constructor: [hit("a")] } }),
    ).rejects.toMatchObject({ code: "BAD_INPUT" });
  });

  it("takes lists by name, also in TypeScript", () => {
    flow("typed", { one: "hits", two: "hits" }, (f, { one, two }) => {
      const { hits } = f.node("w", weighted({ weights: { one: 1, two: 2 } }), { lists: named({ one, two }) });
      // @ts-expect-error names are needed
      f.node("x", weighted(), { lists: [one, two] });
      // @ts-expect-error there is no such normalisation
      weighted({ normalise: "max" });
      return { hits, fused: f.node("r", rrf({ weights: [2] }), { lists: [one, two] }).hits };
    });
  });
});
