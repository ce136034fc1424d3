import { describe, expect, it } from "@jest/globals";
import type { Encoder, Hit } from "@tessera/core";
import { hostOf, runOperator, testOperator } from "@tessera/testkit";
import { lateInteraction } from "./late-interaction.js";

const table: Record<string, [number, number]> = { red: [1, 0], crimson: [0.8, 0.6], blue: [0, 1], sky: [0.6, 0.8] };
const encoder: Encoder = {
  revision: "1",
  space: () => "table",
  encode: async (texts) => texts.map((text) => Float32Array.from(table[text] ?? [-1, 0])),
};
const hit = (id: string, text: string): Hit => ({ passage: { id, text, metadata: {} }, score: 1, provenance: [] });
const config = { encoder: "main" };

testOperator(lateInteraction, {
  host: () => hostOf({ "encoder/main": encoder }),
  cases: [
    {
      // red: max(0.8, 0) = 0.8, blue: max(0.6, 1) = 1 → 0.9;  red: 0.6, blue: 0.8 → 0.7
      name: "MaxSim equals the sums by hand",
      config,
      input: { query: "red blue", hits: [hit("b", "sky"), hit("a", "Crimson blue crimson"), hit("c", "")] },
      output: (output) => {
        const found = output.hits as Hit[];
        expect(found.map(({ passage }) => passage.id)).toEqual(["a", "b", "c"]);
        for (const [place, score] of [0.9, 0.7, 0].entries()) expect(found[place]!.score).toBeCloseTo(score, 6);
      },
    },
    {
      name: "a query without a word leaves the order of ids",
      config,
      input: { query: "", hits: [hit("b", "x"), hit("a", "y")] },
      output: (output) => expect((output.hits as Hit[]).map(({ score }) => score)).toEqual([0, 0]),
    },
    { name: "nothing stays nothing", config, input: { query: "red", hits: [] }, output: { hits: [] } },
  ],
});

describe("reranker.late-interaction", () => {
  it("encodes each different unit once", async () => {
    const asked: string[][] = [];
    const counting: Encoder = {
      ...encoder,
      encode: async (texts, how) => {
        asked.push([...texts]);
        return encoder.encode(texts, how);
      },
    };
    await runOperator(
      lateInteraction,
      config,
      { query: "red red", hits: [hit("a", "blue sky"), hit("b", "sky")] },
      { host: hostOf({ "encoder/main": counting }) },
    );
    expect(asked).toEqual([["red"], ["blue", "sky"]]);
  });
});
