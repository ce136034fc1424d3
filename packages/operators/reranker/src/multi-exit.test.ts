import { describe, expect, it } from "@jest/globals";
import type { Encoder, Hit } from "@tessera/core";
import { contextOf, hostOf, runOperator, testOperator } from "@tessera/testkit";
import { multiExit } from "./multi-exit.js";

/** Shallow vectors see the first letter only, deep ones the second. */
const table: Record<string, [number, number]> = { a: [1, 0], b: [0, 1], c: [0.6, 0.8] };
const asked: { texts: readonly string[]; exit: number | undefined; kind: string }[] = [];
const encoder: Encoder = {
  revision: "1",
  space: ({ exit }) => `table/${exit}`,
  encode: async (texts, { exit, kind }) => {
    asked.push({ texts, exit, kind });
    return texts.map((text) => Float32Array.from(table[text[exit === 2 ? 0 : 1]!] ?? [-1, 0]));
  },
};
const hit = (text: string, score: number): Hit => ({
  passage: { id: text, text, metadata: {} },
  score,
  provenance: [{ operator: "retriever.dense", rank: 1, score }],
});
const host = () => hostOf({ "encoder/main": encoder });
const found = [hit("ab", 0.9), hit("ac", 0.8), hit("ba", 0.7)];
const order = (output: Record<string, unknown>) => (output.hits as Hit[]).map(({ passage }) => passage.id);

testOperator(multiExit, {
  host,
  cases: [
    {
      name: "the deeper exit decides",
      config: { encoder: "main", exit: 6 },
      input: { query: "xa", hits: found },
      output: (output) => {
        expect(order(output)).toEqual(["ba", "ac", "ab"]);
        const [first] = output.hits as Hit[];
        expect(first!.provenance.map(({ operator }) => operator)).toEqual(["retriever.dense", "reranker.multi-exit"]);
        const scores = (output.hits as Hit[]).map(({ score }) => score);
        for (const [place, score] of [1, 0.6, 0].entries()) expect(scores[place]).toBeCloseTo(score, 6);
      },
    },
    {
      name: "what lies behind the depth is kept, in its order",
      config: { encoder: "main", exit: 6, depth: 1 },
      input: { query: "xa", hits: found },
      output: (output) => expect(order(output)).toEqual(["ab", "ac", "ba"]),
    },
    {
      name: "nothing stays nothing",
      config: { encoder: "main" },
      input: { query: "xa", hits: [] },
      output: { hits: [] },
    },
  ],
});

describe("reranker.multi-exit", () => {
  it("encodes the query and the candidates once each, at the exit asked for, and reports the layers", async () => {
    asked.length = 0;
    const context = contextOf();
    await runOperator(
      multiExit,
      { encoder: "main", exit: 6, kind: "text" },
      { query: "xa", hits: found },
      { host: host(), context },
    );
    expect(asked).toEqual([
      { texts: ["xa"], exit: 6, kind: "query" },
      { texts: ["ab", "ac", "ba"], exit: 6, kind: "text" },
    ]);
    expect(context.spent.layers).toBe(6 * 4);
    expect(multiExit.bound?.({ encoder: "main", kind: "code", exit: 6, depth: 50 })).toEqual({
      calls: 0,
      tokens: 0,
      layers: 6 * 51,
    });
  });
});
