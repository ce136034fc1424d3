import { describe, expect, it } from "@jest/globals";
import { type Encoder, flow, type Hit, named } from "@tessera/core";
import { hostOf, runOperator, testOperator } from "@tessera/testkit";
import { rrf } from "./rrf.js";
import { weighted } from "./weighted.js";

const hit = (id: string, score = 0, operator = "a"): Hit => ({
  passage: { id, text: id, metadata: {} },
  score,
  provenance: [{ operator, rank: 1, score }],
});
const table = (output: Record<string, unknown>) =>
  Object.fromEntries((output.hits as Hit[]).map(({ passage, score }) => [passage.id, score]));

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

describe("fuser.weighted", () => {
  it("weighs words and vectors as the encoder advises, and half and half where it advises nothing", async () => {
    const lists = { words: [hit("a", 2), hit("b", 1)], vectors: [hit("b", 2), hit("a", 1)] };
    const follow = { encoder: "main", words: "words", vectors: "vectors" };
    const encoder: Encoder = { revision: "1", space: () => "", encode: async () => [] };
    for (const [words, a] of [
      [0, 0],
      [0.3, 0.3],
      [undefined, 0.5],
    ] as const) {
      const advised: Encoder = { ...encoder, words };
      const host = hostOf({ "encoder/main": advised });
      const output = await runOperator(weighted, { follow }, { lists }, { host });
      expect(table(output as Record<string, unknown>)).toEqual({ a: expect.closeTo(a), b: expect.closeTo(1 - a) });
    }
  });

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
