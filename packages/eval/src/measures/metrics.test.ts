import { describe, expect, it } from "@jest/globals";
import { uniform } from "@tessera/core/internal";
import { normalAnswer } from "@tessera/text";
import fc from "fast-check";
import { answerF1, citationPrecision, citationRecall, containsAnswer, exactMatch, rougeL } from "./answers.js";
import { allAt, averagePrecision, ndcgAt, precisionAt, recallAt, reciprocalRank } from "./ranking.js";
import { merged, type Span, spanIou, spanPrecision, spanRecall } from "./spans.js";
import { bootstrap, pairedBootstrap } from "./statistics.js";

describe("measures of a ranking", () => {
  // relevant at ranks 1, 3 and 6 of ten, one relevant not found
  const ranked = ["r1", "x1", "r2", "x2", "x3", "r3", "x4", "x5", "x6", "x7"];
  const relevant = new Set(["r1", "r2", "r3", "r4"]);

  it("row 60: agree with the figures worked out by hand", () => {
    expect(recallAt(5, ranked, relevant)).toBe(2 / 4);
    expect(precisionAt(5, ranked, relevant)).toBe(2 / 5);
    expect(precisionAt(20, ranked, relevant)).toBe(3 / 20);
    expect(reciprocalRank(ranked.slice(1), relevant)).toBe(1 / 2);
    expect(reciprocalRank(["x"], relevant)).toBe(0);
    expect(averagePrecision(ranked, relevant)).toBeCloseTo((1 + 2 / 3 + 3 / 6) / 4, 12);
    const dcg = 1 + 1 / Math.log2(4) + 1 / Math.log2(7);
    const ideal = 1 + 1 / Math.log2(3) + 1 / Math.log2(4) + 1 / Math.log2(5);
    expect(ndcgAt(10, ranked, relevant)).toBeCloseTo(dcg / ideal, 12);
    expect(allAt(10, ranked, relevant)).toBe(0);
    expect(allAt(6, ranked, new Set(["r1", "r3"]))).toBe(1);
  });

  it("a perfect ranking has 1 everywhere, and nothing relevant gives no number", () => {
    const perfect = ["r1", "r2", "r3", "r4", "x"];
    for (const measure of [recallAt, ndcgAt, allAt, precisionAt]) expect(measure(4, perfect, relevant)).toBe(1);
    expect(averagePrecision(perfect, relevant)).toBe(1);
    for (const measure of [recallAt, precisionAt, allAt, ndcgAt]) expect(measure(4, perfect, new Set())).toBeNaN();
    expect(reciprocalRank(perfect, new Set())).toBeNaN();
  });

  it("never fall when a relevant one moves up, and stay within 0 and 1", () => {
    const ids = Array.from({ length: 8 }, (_, i) => `d${i}`);
    fc.assert(
      fc.property(
        fc.shuffledSubarray(ids, { minLength: 8 }),
        fc.subarray(ids, { minLength: 1 }),
        fc.nat(6),
        (order, gold, at) => {
          const relevant = new Set(gold);
          const swapped = [...order];
          [swapped[at], swapped[at + 1]] = [swapped[at + 1]!, swapped[at]!];
          if (relevant.has(order[at]!) || !relevant.has(order[at + 1]!)) return;
          for (const measure of [
            (list: string[]) => ndcgAt(5, list, relevant),
            (list: string[]) => recallAt(3, list, relevant),
            (list: string[]) => averagePrecision(list, relevant),
            (list: string[]) => reciprocalRank(list, relevant),
          ]) {
            expect(measure(swapped)).toBeGreaterThanOrEqual(measure(order) - 1e-12);
            expect(measure(order)).toBeGreaterThanOrEqual(0);
            expect(measure(order)).toBeLessThanOrEqual(1);
          }
        },
      ),
    );
  });
});

describe("measures of a ranking with repeated ids", () => {
  const ids = fc.constantFrom("a", "b", "c", "d", "e");
  it("stay within 0 and 1, and count each id at its first place", () => {
    fc.assert(
      fc.property(
        fc.array(ids, { maxLength: 12 }),
        fc.uniqueArray(ids, { minLength: 1 }),
        fc.integer({ min: 1, max: 12 }),
        (ranked, gold, k) => {
          const relevant = new Set(gold);
          // the same ranking, in which every repetition is an id of its own that nobody wants
          const once = ranked.map((id, at) => (ranked.indexOf(id) === at ? id : `${id} ${at}`));
          for (const measure of [
            (list: string[]) => recallAt(k, list, relevant),
            (list: string[]) => precisionAt(k, list, relevant),
            (list: string[]) => allAt(k, list, relevant),
            (list: string[]) => ndcgAt(k, list, relevant),
            (list: string[]) => averagePrecision(list, relevant),
            (list: string[]) => reciprocalRank(list, relevant),
          ]) {
            expect(measure(ranked)).toBe(measure(once));
            expect(measure(ranked)).toBeLessThanOrEqual(1);
          }
          expect(citationRecall(ranked, relevant)).toBeLessThanOrEqual(1);
        },
      ),
    );
    expect(recallAt(4, ["a", "a", "a"], new Set(["a"]))).toBe(1);
    expect(ndcgAt(4, ["a", "a", "a"], new Set(["a"]))).toBe(1);
    expect(averagePrecision(["a", "a", "a"], new Set(["a"]))).toBe(1);
  });
});

describe("what of an answer is measured", () => {
  const measures = { exactMatch, answerF1, containsAnswer, rougeL };
  const all = (given: string, accepted: string[]) => Object.values(measures).map((measure) => measure(given, accepted));

  it.each([
    ["tugs [1]", "tugs"],
    ["Tugs.[1][2]", "tugs"],
    ["**Tugs** [^3]", "tugs"],
    ["_tugs_ 【4†source】", "tugs"],
    ["<b>tugs</b> [passage 2]", "tugs"],
    ["[tugs](https://a.b/c) [1, 2]", "tugs"],
    ["~~`tugs`~~［1］ [2-4] [1 and 2]", "tugs"],
    ["“tugs”", "tugs"],
    ["1,000 tugs", "1000 tugs"],
    ["−5 °C", "-5 °C"],
    ["1939–1945", "1939-1945"],
  ])("%j is %j in every measure", (given, wanted) => {
    expect(all(given, [wanted])).toEqual([1, 1, 1, 1]);
  });

  it("markers and emphasis change no measure of any answer", () => {
    const word = fc.constantFrom("tugs", "C++", "3.5", "-5", "the", "東京都", "rows", "café", "in 1950", "x");
    const text = fc.array(word, { minLength: 1, maxLength: 5 });
    const decoration = fc.constantFrom(" [1]", "[12][3]", " [1, 2]", " [2–4]", "[^1]", " 【1†a.md】", "［2］");
    const emphasis = fc.constantFrom("**", "*", "__", "~~", "");
    fc.assert(
      fc.property(text, text, decoration, emphasis, fc.nat(), (given, wanted, mark, star, at) => {
        const place = at % given.length;
        const decorated = given.map((one, i) => (i === place ? `${star}${one}${star}${mark}` : one)).join(" ");
        expect(all(decorated, [wanted.join(" ")])).toEqual(all(given.join(" "), [wanted.join(" ")]));
      }),
    );
  });

  it.each([
    ["C#", "C++"],
    ["C", "C#"],
    ["3.5", "35"],
    ["-5", "5"],
    ["−5", "5"],
    ["1/2", "12"],
    ["10:30", "1030"],
    ["10^5", "105"],
    ["[0, 1]", ""],
    ["rows `a[1]`", "rows a"],
    ["in [1950]", "in"],
  ])("%j is not %j", (given, wanted) => {
    expect(exactMatch(given, [wanted])).toBe(0);
    expect(rougeL(given, [wanted])).toBeLessThan(1);
    expect(answerF1(given, [wanted])).toBeLessThan(1);
  });

  it("languages without spaces have words", () => {
    expect(exactMatch("東京都です", ["東京都"])).toBe(0);
    expect(containsAnswer("東京都です。", ["東京都"])).toBe(1);
    // three characters of five, all that are wanted
    expect(answerF1("東京都です", ["東京都"])).toBeCloseTo(0.75, 12);
    expect(rougeL("東京都です", ["東京都"])).toBeCloseTo(0.75, 12);
    expect(containsAnswer("答えはカタカナ", ["カタカナ"])).toBe(1);
    expect(answerF1("京都", ["東京"])).toBeCloseTo(0.5, 12);
  });
});

describe("measures of an answer", () => {
  it("row 60: normalise as SQuAD's script does", () => {
    expect(normalAnswer("The  Eiffel-Tower, (Paris)!")).toBe("eiffeltower paris");
    expect(normalAnswer("an answer to a theory")).toBe("answer to theory");
    // an article is a whole word: "ñ" is a letter, as it is to Python
    expect(normalAnswer("a año, the thé")).toBe("año thé");
  });

  it("match exactly, by words held, and by the bag of words", () => {
    expect(exactMatch("The Beatles", ["Rolling Stones", "beatles"])).toBe(1);
    expect(containsAnswer("It was written by the Beatles in 1965.", ["beatles"])).toBe(1);
    expect(containsAnswer("beatlesque", ["beatles"])).toBe(0);
    // given 4 words, wanted 3, 2 in common: P = 1/2, R = 2/3
    expect(answerF1("red fish blue fish", ["one red fish"])).toBeCloseTo((2 * (1 / 2) * (2 / 3)) / (1 / 2 + 2 / 3), 12);
    expect(answerF1("", [""])).toBe(1);
    expect(answerF1("word", [""])).toBe(0);
    expect(answerF1("no", ["yes", "no"])).toBe(1);
  });

  it("ROUGE-L agrees with the paper's examples, and with every subsequence tried", () => {
    // Lin 2004, section 3.1: the order of the words tells S2 (3/4) from S3 (1/2)
    expect(rougeL("Police kill the gunman.", ["police killed the gunman"])).toBe(3 / 4);
    expect(rougeL("the gunman kill police", ["police killed the gunman"])).toBe(1 / 2);
    expect(rougeL("", ["police"])).toBe(0);
    expect(rougeL("police", ["the gunman", "Police"])).toBe(1);
    const words = fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 6 });
    const subsequences = (list: readonly string[]): Set<string> =>
      new Set(Array.from({ length: 2 ** list.length }, (_, mask) => list.filter((_, i) => (mask >> i) & 1).join("")));
    fc.assert(
      fc.property(words, words, (given, wanted) => {
        const other = subsequences(wanted);
        const common = Math.max(...[...subsequences(given)].map((one) => (other.has(one) ? one.length : 0)));
        const [precision, recall] = [common / given.length, common / wanted.length];
        const expected = common === 0 ? 0 : (2 * precision * recall) / (precision + recall);
        expect(rougeL(given.join(" "), [wanted.join(" ")])).toBeCloseTo(expected, 12);
      }),
    );
  });

  it("count citations as sets", () => {
    expect(citationPrecision(["a", "a", "b"], new Set(["a"]))).toBe(1 / 2);
    expect(citationRecall(["a", "a", "b"], new Set(["a", "c"]))).toBe(1 / 2);
    expect(citationPrecision([], new Set(["a"]))).toBeNaN();
    expect(citationRecall(["a"], new Set())).toBeNaN();
  });
});

describe("measures of spans", () => {
  const span = fc.tuple(fc.nat(30), fc.nat(10)).map(([start, size]): Span => ({ start, end: start + size + 1 }));
  const spans = fc.array(span, { minLength: 1, maxLength: 5 });
  const cells = (list: readonly Span[]) =>
    list.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i));

  it("row 60: agree with the reference implementation's definition on a case by hand", () => {
    // chunks of 10 and 20, of which 10 overlap, against a wanted stretch of 12 that the second one holds 5 of
    const chunks = [
      { start: 0, end: 10 },
      { start: 0, end: 20 },
    ];
    const wanted = [{ start: 15, end: 27 }];
    expect(spanRecall(chunks, wanted)).toBe(5 / 12);
    // the chunks are paid for twice: 30
    expect(spanPrecision(chunks, wanted)).toBe(5 / 30);
    // 30 retrieved and the 7 that were missed
    expect(spanIou(chunks, wanted)).toBe(5 / 37);
  });

  it("row 60: agree with counting every position", () => {
    fc.assert(
      fc.property(spans, spans, (retrieved, wanted) => {
        const [given, gold] = [cells(retrieved), new Set(cells(wanted))];
        const common = [...new Set(given)].filter((cell) => gold.has(cell)).length;
        expect(spanRecall(retrieved, wanted)).toBeCloseTo(common / gold.size, 12);
        expect(spanPrecision(retrieved, wanted)).toBeCloseTo(common / given.length, 12);
        expect(spanIou(retrieved, wanted)).toBeCloseTo(common / (given.length + gold.size - common), 12);
        expect(cells(merged(retrieved)).sort((a, b) => a - b)).toEqual([...new Set(given)].sort((a, b) => a - b));
      }),
    );
  });
});

describe("intervals", () => {
  it("hold the true mean about as often as they say", () => {
    // 200 samples of 40 coins that fall on heads with probability 0.3
    const random = uniform(7);
    let held = 0;
    for (let trial = 0; trial < 200; trial++) {
      const { low, high } = bootstrap(
        Array.from({ length: 40 }, () => Number(random() < 0.3)),
        { resamples: 400, seed: trial + 1 },
      );
      if (low <= 0.3 && 0.3 <= high) held++;
    }
    expect(held / 200).toBeGreaterThan(0.88);
    expect(held / 200).toBeLessThan(0.99);
  });

  it("are narrow for pairs that differ alike, and the same for the same seed", () => {
    const left = Array.from({ length: 50 }, (_, i) => i % 7);
    const right = left.map((value) => value - 0.5);
    expect(pairedBootstrap(left, right)).toEqual({ mean: 0.5, low: 0.5, high: 0.5, count: 50, p: 2 / 2001 });
    expect(bootstrap(left, { seed: 3 })).toEqual(bootstrap(left, { seed: 3 }));
  });

  it("row 61: p is below 0.05 about as often as that where there is no difference, and nearly always where there is one", () => {
    const random = uniform(11);
    const below = (gain: number) => {
      let count = 0;
      for (let trial = 0; trial < 200; trial++) {
        const left = Array.from({ length: 60 }, () => random() + gain);
        const right = left.map(() => random());
        if (pairedBootstrap(left, right, { resamples: 400, seed: trial + 1 }).p < 0.05) count++;
      }
      return count / 200;
    };
    expect(below(0)).toBeLessThan(0.1);
    expect(below(0.3)).toBeGreaterThan(0.95);
    expect(pairedBootstrap([1, 2, 3], [1, 2, 3]).p).toBe(1);
  });

  it("refuse what has no mean", () => {
    expect(() => bootstrap([])).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
    expect(() => bootstrap([1, Number.NaN])).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
    expect(() => pairedBootstrap([1], [1, 2])).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
  });
});
