import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import type { LanguageModel } from "./resources.js";
import { countTokens, estimateTokens } from "./tokens.js";

// true counts by cl100k_base (js-tiktoken 1.0.21)
const counted: [string, number][] = [
  ["The quick brown fox jumps over the lazy dog while twelve geese fly south.", 16],
  [
    "export function retryWithBackoff(task: () => Promise<void>, attempts = 3): Promise<void> {\n  return task().catch((error) => retryWithBackoff(task, attempts - 1));\n}\n",
    43,
  ],
  [
    "const MAX_RETRIES_PER_HOST = 12345; // see RFC 7231\n\n\n    if (response.status >= 500) throw new HttpError(response.status);",
    34,
  ],
  ["Неверный ввод: ожидалась строка, получено число.", 20],
  ["検索された文書は引用されたデータです。", 19],
];

describe("estimateTokens", () => {
  it.each(counted)("of %j is not below the true count, and not far above", (text, tokens) => {
    expect(estimateTokens(text)).toBeGreaterThanOrEqual(tokens * 0.95);
    expect(estimateTokens(text)).toBeLessThanOrEqual(tokens * 2.2);
  });

  it("never falls when text is added as a new line, and is at most the length", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (a, b) => {
        expect(estimateTokens(`${a}\n${b}`)).toBeGreaterThanOrEqual(estimateTokens(a));
        expect(estimateTokens(a)).toBeLessThanOrEqual(a.length);
      }),
    );
  });

  it("a model that counts is asked", () => {
    const model = { count: (text: string) => text.length } as unknown as LanguageModel;
    expect(countTokens("12345", model)).toBe(5);
    expect(countTokens("one two")).toBe(estimateTokens("one two"));
  });
});
