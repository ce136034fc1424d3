import { describe, expect, it } from "@jest/globals";
import type { Hit, Passage } from "@tessera/core";
import { holdBack } from "./held-back.js";

const hit = (id: string, score: number, metadata: Passage["metadata"] = {}): Hit => ({
  passage: { id, text: id, metadata },
  score,
  provenance: [],
});
const ids = (hits: readonly Hit[]) => hits.map(({ passage }) => passage.id);

describe("holdBack", () => {
  const hits = [
    hit("v", 10, { vendored: true }),
    hit("t", 9, { test: true }),
    hit("a", 8),
    hit("g", 6, { generated: true }),
    hit("b", 1),
  ];

  it("puts what is one's own before what others and programs wrote, and before tests, and loses nothing", () => {
    expect(ids(holdBack(hits, "where is the header?", 0.7))).toEqual(["a", "v", "t", "g", "b"]);
    expect(ids(holdBack([hits[0]!], "where?", 0.7))).toEqual(["v"]);
  });

  it("holds tests back only where the question does not ask for them", () => {
    expect(ids(holdBack(hits, "which test covers it?", 0.7))).toEqual(["t", "a", "v", "g", "b"]);
  });

  it("leaves scores that are not above zero, and all with a share of 1", () => {
    expect(holdBack(hits, "x", 1)).toEqual(hits);
    const below = [hit("a", 0), hit("v", -1, { vendored: true })];
    expect(holdBack(below, "x", 0.5)).toEqual(below);
  });
});
