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
    ["検索 engine", ["検", "索", "検索", "engine"]],
    ["日本go", ["日", "本", "日本", "go"]],
    ["C, C++, C#, F# and .NET", ["c", "c++", "c#", "f#", "and", "net", ".net"]],
    ["g++ or libstdc++;", ["g++", "or", "libstdc", "libstdc++"]],
    ["A+ is above A- and A", ["a+", "is", "above", "a-", "and", "a"]],
    ["v0.12.1", ["v", "0", "v0", "12", "0.12", "1", "0.12.1"]],
    ["1,000,000 or 1'000'000", ["1", "000", "000", "1000000", "or", "1", "000", "000", "1000000"]],
    ["$1,200.50", ["1", "200", "50", "1200.50"]],
    ["12,50 €", ["12", "50", "12.50"]],
    ["f(1,2)", ["f", "1", "2"]],
    ["at -40 or 2-3", ["at", "40", "-40", "or", "2", "3", "2-3"]],
    ["on 2024-03-01, 12:30.", ["on", "2024", "03", "01", "2024-03-01", "12", "30", "12:30"]],
    ["src/retry.ts", ["src", "retry", "ts", "retry.ts"]],
    ["this.path.joinAll()", ["this", "path", "join", "all", "joinall", "path.joinall"]],
    ["an e-mail.", ["an", "e", "mail", "email"]],
    ["It ends. Then", ["it", "ends", "then"]],
    ["ＡＰＩ oﬃce 𝐀𝐏𝐈", ["api", "office", "api"]],
    ["ΣΊΣΥΦΟΣ σίσυφος", ["σίσυφοσ", "σίσυφοσ"]],
    ["İSTANBUL so\u00adft", ["istanbul", "soft"]],
    ["٣٤ １２", ["34", "12"]],
    ["a 🚀 b", ["a", "🚀", "b"]],
    ["ข้าวต้ม", ["ข้าวต้ม"]],
    ["ที่จอดรถเปิด", ["ที่", "จอด", "รถ", "เปิด"]],
    ["返品は十四日", ["返", "品", "返品", "は", "十", "四", "日", "十四日"]],
    ["ｶﾞｲﾄﾞ", ["ガイド"]],
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

  it("agrees with its naive twin on ASCII without signs", () => {
    const code = fc.string({ unit: fc.constantFrom(..."abXYZ019_ ;"), maxLength: 200 });
    fc.assert(
      fc.property(fc.oneof(code, fc.string({ unit: "binary-ascii", maxLength: 300 })), (text) => {
        const plain = text.replace(/[^\w\s]/g, " ; "); // no sign touches a word
        expect(words(plain)).toEqual(naiveWords(plain));
      }),
      { numRuns: 1000 },
    );
  });

  it("reads any text, and gives words in lower case without separators", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        for (const word of words(text)) {
          expect(word.length).toBeGreaterThan(0);
          expect(word.length).toBeLessThanOrEqual(longestWord);
          expect(word).toMatch(/^[^\s_,;()]+$/u);
        }
        expect(words(`x ; ${text}`).slice(1)).toEqual(words(text));
      }),
      { numRuns: 500 },
    );
  });

  it("keeps the order of a version's numbers", () => {
    const version = fc.array(fc.nat({ max: 99 }), { minLength: 2, maxLength: 4 });
    fc.assert(
      fc.property(version, (numbers) => {
        const written = numbers.join(".");
        expect(words(`in v${written}: `)).toContain(written);
        expect(words([...numbers].reverse().join(".")).includes(written)).toBe(
          written === [...numbers].reverse().join(".") || [...numbers].reverse().join(".").startsWith(`${written}.`),
        );
      }),
    );
  });

  it("finds a number by its digits, however its thousands are parted", () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 31 }), fc.constantFrom("en", "de", "fr", "de-CH"), (number, locale) =>
        expect(words(`${new Intl.NumberFormat(locale).format(number)} in all`)).toContain(String(number)),
      ),
    );
  });
});
