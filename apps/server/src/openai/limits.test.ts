import { describe, expect, it } from "@jest/globals";
import { estimateTokens, TokenLimit } from "@tessera/core/internal";
import fc from "fast-check";
import { TextLimits } from "./limits.js";

const word = fc.constantFrom(
  "waits",
  "grow",
  "a",
  " ",
  "\n",
  "  ",
  "HTTPServer",
  "x1",
  "42",
  "…",
  "ja",
  "語",
  "😀",
  "();",
  "END",
  "EN",
);
const text = fc.array(word, { maxLength: 30 }).map((words) => words.join(""));
/** A text in parts, cut anywhere. */
const parts = text.chain((whole) =>
  fc
    .array(fc.nat({ max: whole.length }), { maxLength: 6 })
    .map((cuts) => [0, ...cuts.sort((a, b) => a - b), whole.length])
    .map((cuts) => cuts.slice(1).map((end, i) => whole.slice(cuts[i], end))),
);

describe("a text that is held to a number of tokens as it comes", () => {
  it("is its own longest beginning that has so many, however it is parted, give or take the piece at a cut", () => {
    fc.assert(
      fc.property(parts, fc.integer({ min: 1, max: 40 }), (given, most) => {
        const whole = given.join("");
        const limit = new TokenLimit(most);
        const kept = given.map((part) => limit.push(part)).join("");
        expect(whole.startsWith(kept)).toBe(true);
        if (estimateTokens(whole) <= most) expect([kept, limit.isOver]).toEqual([whole, false]);
        if (given.length === 1) {
          expect(limit.isOver).toBe(estimateTokens(whole) > most);
          expect(estimateTokens(kept)).toBeLessThanOrEqual(most);
          expect(Buffer.from(kept).toString()).toBe(kept); // no half of a pair
          // the next sign would be too many
          if (limit.isOver) expect(estimateTokens(whole.slice(0, kept.length + 6))).toBeGreaterThan(most - 2);
        }
      }),
      { numRuns: 3000, seed: 7 },
    );
  });

  it("costs no more than its length, also without spaces", () => {
    const limit = new TokenLimit(Number.POSITIVE_INFINITY);
    const before = process.cpuUsage().user;
    for (let i = 0; i < 50_000; i++) limit.push("語 x");
    expect(process.cpuUsage(undefined).user - before).toBeLessThan(5e6); // microseconds of the processor
  });
});

describe("a text that is held to stop sequences as it comes", () => {
  it("ends before the first of them, however it is parted, and is whole without", () => {
    fc.assert(
      fc.property(
        parts,
        fc.array(fc.constantFrom("END", "ENEN", "\n", "aa", "語語", "w"), { maxLength: 4 }),
        (given, stop) => {
          const whole = given.join("");
          const limits = new TextLimits({ stop });
          const kept = given.map((part) => limits.push(part)).join("") + limits.end();
          const first = Math.min(...stop.map((one) => whole.indexOf(one)).filter((at) => at >= 0), whole.length);
          expect(kept).toBe(whole.slice(0, first));
          expect(limits.cut).toBe(first < whole.length ? "stop" : undefined);
        },
      ),
      { numRuns: 3000, seed: 7 },
    );
  });

  it("gives out what cannot be the beginning of one at once", () => {
    const limits = new TextLimits({ stop: ["END"] });
    expect(["a", "E", "N", "x", "EN", "D", "more"].map((part) => limits.push(part))).toEqual([
      "a",
      "",
      "",
      "ENx",
      "",
      "",
      "",
    ]);
  });
});
