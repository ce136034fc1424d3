import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { longestWord, words } from "./words.js";

/** The naive twin: the same rule by regular expressions. */
function naiveWords(text: string): string[] {
  const lower = (part: string) =>
    [...Array(part.length).keys()]
      .map((i) => (part[i]!.toLowerCase().length === 1 ? part[i]!.toLowerCase() : part[i]!))
      .join("");
  return (text.normalize("NFC").match(/[A-Za-z0-9_]+/g) ?? []).flatMap((run) => {
    const parts = (run.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+/g) ?? []).map((part) =>
      lower(part.slice(0, longestWord)),
    );
    const whole = parts.join("");
    return parts.length > 1 && whole.length <= longestWord ? [...parts, whole] : parts;
  });
}

describe("words", () => {
  it.each([
    ["the quick fox", ["the", "quick", "fox"]],
    ["maxRetryCount", ["max", "retry", "count", "maxretrycount"]],
    ["MAX_RETRY_COUNT", ["max", "retry", "count", "maxretrycount"]],
    ["__proto__", ["proto"]],
    ["HTTPServer2", ["http", "server", "2", "httpserver2"]],
    ["parseURL(x)", ["parse", "url", "parseurl", "x"]],
    ["in 1901, don't", ["in", "1901", "don", "t"]],
    ["Größe ÄÖÜ naïve", ["größe", "äöü", "naïve"]],
    ["検索 engine", ["検", "索", "engine"]],
    ["日本go", ["日", "本", "go"]],
    ["Привет мир", ["привет", "мир"]],
    ["हिन्दी", ["हिन्दी"]],
    ["", []],
    [" _ __ - ", []],
  ])("%j", (text, expected) => expect(words(text)).toEqual(expected));

  it("does not tell composed from decomposed letters", () => {
    expect(words("cafe\u0301 crème")).toEqual(words("café cre\u0300me"));
  });

  it("cuts what is too long, and keeps no whole of it", () => {
    expect(words("x".repeat(1000))).toEqual(["x".repeat(longestWord)]);
    expect(words(`${"x".repeat(40)}_${"y".repeat(40)}`)).toEqual(["x".repeat(40), "y".repeat(40)]);
  });

  it("agrees with its naive twin on ASCII", () => {
    const code = fc.string({ unit: fc.constantFrom(..."abXYZ019_ -."), maxLength: 200 });
    fc.assert(
      fc.property(fc.oneof(code, fc.string({ unit: "binary-ascii", maxLength: 300 })), (text) =>
        expect(words(text)).toEqual(naiveWords(text)),
      ),
      { numRuns: 1000 },
    );
  });

  it("reads any text, and gives words in lower case without separators", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        for (const word of words(text)) {
          expect(word.length).toBeGreaterThan(0);
          expect(word.length).toBeLessThanOrEqual(longestWord);
          expect(word).toMatch(/^[^\s_.,;()]+$/u);
        }
        expect(words(text)).toEqual(words(`(${text})`));
      }),
      { numRuns: 500 },
    );
  });
});
