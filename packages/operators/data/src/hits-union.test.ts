import { describe, expect, it } from "@jest/globals";
import type { Hit } from "@tessera/core";
import { runOperator, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { hitsUnion } from "./hits-union.js";

const hit = (id: string, score: number, operator = "a"): Hit => ({
  passage: { id, text: id, metadata: {} },
  score,
  provenance: [{ operator, rank: 1, score }],
});
const ids = (output: Record<string, unknown>) => (output.hits as Hit[]).map(({ passage }) => passage.id);

testOperator(hitsUnion, {
  cases: [
    {
      name: "keeps the order of the lists, the best score and every provenance",
      input: {
        lists: [
          [hit("x", 1), hit("y", 3)],
          [hit("y", 5, "b"), hit("z", 9, "b")],
        ],
      },
      output: {
        hits: [
          hit("x", 1),
          { ...hit("y", 5), provenance: [hit("y", 3).provenance[0], hit("y", 5, "b").provenance[0]] },
          hit("z", 9, "b"),
        ],
      },
    },
    {
      name: "takes turns",
      config: { order: "interleaved" },
      input: { lists: [[hit("a", 1), hit("b", 1), hit("c", 1)], [], [hit("b", 2), hit("d", 2)]] },
      output: (output) => expect(ids(output)).toEqual(["a", "b", "d", "c"]),
    },
    {
      name: "sorts by score, ties by id, and cuts",
      config: { order: "score", top: 3 },
      input: {
        lists: [
          [hit("b", 1), hit("a", 1)],
          [hit("c", 7), hit("d", 0)],
        ],
      },
      output: (output) => expect(ids(output)).toEqual(["c", "a", "b"]),
    },
    {
      name: "says which lists hold a hit, at which rank",
      config: { sources: ["general", "question"] },
      input: { lists: [[hit("x", 2), hit("y", 1)], [hit("y", 3)], [hit("z", 0)]] },
      output: (output) =>
        expect(
          (output.hits as Hit[]).map(({ provenance }) =>
            provenance.flatMap(({ operator, rank, score }) => (operator === "a" ? [] : `${operator} ${rank} ${score}`)),
          ),
        ).toEqual([["general 1 2"], ["general 2 1", "question 1 3"], []]),
    },
    { name: "of nothing is nothing", input: { lists: [] }, output: { hits: [] } },
    {
      name: "a provenance that two lists share stands once",
      input: { lists: [[hit("a", 1)], [hit("a", 1)]] },
      output: { hits: [hit("a", 1)] },
    },
  ],
});

describe("hits.union", () => {
  it("holds every passage once, in any order", async () => {
    const list = fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "d"), fc.integer({ min: 0, max: 3 })));
    const order = fc.constantFrom("declared", "interleaved", "score");
    await fc.assert(
      fc.asyncProperty(fc.array(list, { maxLength: 4 }), order, async (lists, order) => {
        const given = lists.map((members) => members.map(([id, score]) => hit(id, score)));
        const output = await runOperator(hitsUnion, { order }, { lists: given });
        expect([...ids(output)].sort()).toEqual([...new Set(lists.flat().map(([id]) => id))].sort());
        for (const { passage, score } of output.hits as Hit[])
          expect(score).toBe(
            Math.max(
              ...lists
                .flat()
                .filter(([id]) => id === passage.id)
                .map(([, s]) => s),
            ),
          );
      }),
    );
  });
});
