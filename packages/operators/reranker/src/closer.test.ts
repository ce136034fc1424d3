import { describe, expect, it } from "@jest/globals";
import type { Clock, Encoder, Hit } from "@tessera/core";
import { contextOf, hostOf, runOperator, testOperator } from "@tessera/testkit";
import { closer, closerBy } from "./closer.js";

/** A text of a number is a vector at that angle; the query is at 0, so a smaller number is nearer. */
function encoderOf(spent: (texts: readonly string[]) => void = () => {}): Encoder {
  return {
    revision: "1",
    closer: { exit: 6, kept: 0.25 },
    space: () => "angles",
    encode: async (texts, { exit, kind }) => {
      expect(exit).toBe(6);
      if (kind !== "query") spent(texts);
      return texts.map((text) => Float32Array.of(Math.cos(Number(text)), Math.sin(Number(text))));
    },
  };
}
const hit = (text: string, score: number): Hit => ({
  passage: { id: text, text, metadata: {} },
  score,
  provenance: [{ operator: "fuser.weighted", rank: 1, score }],
});
const plain: Encoder = { ...encoderOf(), closer: undefined };
const found = [hit("0.9", 1), hit("0.1", 0.8), hit("0.5", 0.6)];
const order = (output: Record<string, unknown>) => (output.hits as Hit[]).map(({ passage }) => passage.id);
const host = (encoder: Encoder = encoderOf()) => hostOf({ "encoder/main": encoder, "encoder/plain": plain });

testOperator(closer, {
  host: () => host(),
  cases: [
    {
      name: "the closer look decides, with the share of the earlier score that the encoder advises",
      config: { encoder: "main" },
      input: { query: "0", hits: found },
      output: (output) => {
        expect(order(output)).toEqual(["0.1", "0.5", "0.9"]);
        const cosines = [0.1, 0.5, 0.9].map(Math.cos);
        const now = cosines.map((cosine) => (cosine - cosines[2]!) / (cosines[0]! - cosines[2]!));
        const expected = [0.75 * now[0]! + 0.25 * 0.5, 0.75 * now[1]!, 0.25];
        for (const [i, { score }] of (output.hits as Hit[]).entries()) expect(score).toBeCloseTo(expected[i]!, 5);
      },
    },
    {
      name: "the earlier order stands where all of it is kept",
      config: { encoder: "main", kept: 1 },
      input: { query: "0", hits: found },
      output: (output) => expect(order(output)).toEqual(["0.9", "0.1", "0.5"]),
    },
    {
      name: "what lies behind the depth follows in its order",
      config: { encoder: "main", depth: 2, top: 3 },
      input: { query: "0", hits: [...found, hit("0.2", 0.5)] },
      output: (output) => expect(order(output)).toEqual(["0.1", "0.9", "0.5"]),
    },
    {
      name: "the similarity of each that was looked at is its cosine",
      config: { encoder: "main", depth: 2 },
      input: { query: "0", hits: found },
      output: ({ similarities }) => {
        expect(Object.keys(similarities as object).sort()).toEqual(["0.1", "0.9"]);
        for (const [id, cosine] of Object.entries(similarities as Record<string, number>))
          expect(cosine).toBeCloseTo(Math.cos(Number(id)), 5);
      },
    },
    {
      name: "an encoder that has no closer look lets all pass",
      config: { encoder: "plain", top: 2 },
      input: { query: "0", hits: found },
      output: { hits: found.slice(0, 2), similarities: {} },
    },
    {
      name: "nothing stays nothing",
      config: { encoder: "main" },
      input: { query: "0", hits: [] },
      output: { hits: [], similarities: {} },
    },
  ],
});

describe("reranker.closer", () => {
  const german = ["Die Fähre legt um acht ab.", "Hunde sind an der Leine zu führen."];
  const english = ["The ferry leaves at eight.", "Dogs are kept on the leash."];
  it.each([
    ["wann legt die Fähre ab?", german, 0],
    ["wann legt die Fähre ab?", english, 2],
    ["when does the ferry leave?", german, 2],
    ["Fähre", german, 2],
    ["フェリーはいつ出ますか", ["フェリーは八時に出ます。", "犬はひもでつなぎます。"], 0],
  ])("an encoder of English is asked %s over %j: %i passages", async (query, texts, expected) => {
    let looked = 0;
    const encoder: Encoder = {
      ...encoderOf(),
      languages: ["en"],
      encode: async (given, { kind }) => {
        if (kind !== "query") looked += given.length;
        return given.map(() => Float32Array.of(1, 0));
      },
    };
    const hits = texts.map((text, index) => hit(text, 1 - index / 10));
    const output = await runOperator(
      closer,
      { encoder: "main" },
      { query, hits },
      { host: host(encoder), context: contextOf() },
    );
    expect(looked).toBe(expected);
    if (expected === 0) expect(output).toEqual({ hits, similarities: {} });
  });

  it("ends with the batch in which the budget ends, and has the rest encoded behind the answer", async () => {
    let now = 0;
    const clock: Clock = { now: () => now, after: () => () => {} };
    const batches: number[] = [];
    const slow = encoderOf((texts) => {
      batches.push(texts.length);
      now += 40 * texts.length;
    });
    const hits = Array.from({ length: 30 }, (_, i) => hit(`${(30 - i) / 100}`, 1 - i / 100));
    const output = await runOperator(
      closerBy(clock),
      { encoder: "main", budget: 500 },
      { query: "0", hits },
      { host: host(slow), context: contextOf() },
    );
    // two batches of eight take 640 ms; the fourteen others follow in one, for which nobody waits
    expect(batches).toEqual([8, 8, 14]);
    const ids = order(output as Record<string, unknown>);
    expect(ids.slice(0, 16).sort()).toEqual(
      hits
        .slice(0, 16)
        .map(({ passage }) => passage.id)
        .sort(),
    );
    expect(ids.slice(16)).toEqual(hits.slice(16).map(({ passage }) => passage.id));
  });
});
