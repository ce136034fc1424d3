import { describe, expect, it } from "@jest/globals";
import type { AnyOperator, Hit, LanguageModel } from "@tessera/core";
import { hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import { words } from "@tessera/text";
import fc from "fast-check";
import { compress } from "./compress.js";
import { extractive } from "./extractive.js";
import { phrasesOf } from "./phrases.js";
import { selectiveContext } from "./selective-context.js";

const hit = (id: string, text: string): Hit => ({ passage: { id, text, metadata: {} }, score: 1, provenance: [] });
const texts = (output: Record<string, unknown>) => (output.hits as Hit[]).map(({ passage }) => passage.text);
// common words are expected, rare ones surprise
const surprise: Record<string, number> = { the: 0.1, is: 0.2, of: 0.1, capital: 3, Bern: 8, Switzerland: 6 };
const scorer = () =>
  scriptedModel([], { capabilities: ["score"], logprob: (token) => -(surprise[token.trim().replace(/\W/g, "")] ?? 1) });
const host = () => hostOf({ "model/main": scorer() });
const config = { model: "main" };
const sentence = "the capital of Switzerland is Bern";

testOperator(compress, {
  host,
  cases: [
    {
      // 34 characters, half are 17: " Bern" 5, " Switzerland" 12; then nothing fits
      name: "row 30: compression keeps the tokens that surprise most, up to the ratio",
      config,
      input: { query: "q", hits: [hit("a", sentence)] },
      output: (output, context) => {
        expect(texts(output)).toEqual(["Switzerland Bern"]);
        expect(context.spent.calls).toBe(1);
      },
    },
    {
      name: "hits beyond those scored are cut",
      config: { ...config, hits: 1 },
      input: { query: "q", hits: [hit("a", sentence), hit("b", "0123456789")] },
      output: (output) => expect(texts(output)[1]).toBe("01234"),
    },
  ],
});

testOperator(selectiveContext, {
  host,
  cases: [
    {
      // sums: "the is of," 1.4 (of, is 0.1 with its comma), " Bern," 8, " the the." 0.2
      name: "row 31: selective context drops the units of the lowest self-information by ratio",
      config: { ...config, ratio: 0.6 },
      input: { hits: [hit("a", "the is of, Bern, the the.")] },
      output: (output) => expect(texts(output)).toEqual(["Bern,"]),
    },
    {
      name: "row 31: selective context by token",
      config: { ...config, unit: "token" },
      input: { hits: [hit("a", sentence)] },
      output: (output) => expect(texts(output)).toEqual(["capital Switzerland Bern"]),
    },
  ],
});

testOperator(extractive, {
  cases: [
    {
      name: "keeps the sentences that the query shares words with, in order and wording",
      config: { ratio: 0.6 },
      input: {
        query: "When was the tower of Pisa built?",
        hits: [hit("a", "Pizza is nice. The tower of Pisa was built in 1173. Cats sleep a lot of the time each day.")],
      },
      output: (output) => expect(texts(output)).toEqual(["Pizza is nice. The tower of Pisa was built in 1173."]),
    },
    {
      // 98 characters leave room for 35
      name: "by phrase keeps names and numbers, then the query's words and what stands near them, function words last",
      config: { ratio: 0.36, unit: "phrase" },
      input: {
        query: "When was the tower of Pisa built?",
        hits: [
          hit(
            "a",
            "As is often said of it, the tower of Pisa was built in 1173 by people who slept a lot on each day.",
          ),
        ],
      },
      output: (output) => {
        const [short] = texts(output);
        expect(short!.split(" ")).toEqual(expect.arrayContaining(["tower", "Pisa", "built", "1173"]));
        expect(short).not.toMatch(/\b(?:is|of|it|the|was|in|by|day)\b/);
      },
    },
    {
      name: "of a sentence that does not fit it keeps the part around the query's words",
      config: { ratio: 0.5 },
      input: { query: "needle", hits: [hit("a", `${"hay ".repeat(20)}needle ${"hay ".repeat(20)}end`)] },
      output: (output) => expect(texts(output)[0]).toContain("needle"),
    },
  ],
});

describe("compression", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "the ", "Bern", ". ", ", ", "\n", " ", "é"), maxLength: 30 });
  const operators: [AnyOperator, object][] = [
    [compress, config],
    [selectiveContext, config],
    [selectiveContext, { ...config, unit: "sentence" }],
    [extractive, {}],
    [extractive, { unit: "phrase" }],
  ];

  it.each(operators)("row 30: every passage becomes strictly shorter (equation 13): %p", async (operator, settings) => {
    await fc.assert(
      fc.asyncProperty(fc.array(text, { maxLength: 4 }), fc.constantFrom(0.1, 0.5, 0.95), async (given, ratio) => {
        const found = given.map((value, index) => hit(String(index), value));
        const output = await runOperator(
          operator,
          { ...settings, ratio },
          { query: "Bern", hits: found },
          { host: host() },
        );
        expect(texts(output)).toHaveLength(given.length);
        for (const [index, short] of texts(output).entries())
          expect(short.length).toBeLessThan(Math.max(given[index]!.length, 1));
      }),
    );
  });

  it("row 30: the ratio is met within 5 % on text of many tokens", async () => {
    const long = Array.from({ length: 400 }, (_, i) => `word${i % 37}`).join(" ");
    for (const ratio of [0.3, 0.5, 0.8]) {
      const output = await runOperator(
        compress,
        { ...config, ratio },
        { query: "q", hits: [hit("a", long)] },
        { host: host() },
      );
      expect(Math.abs(texts(output)[0]!.length / long.length - ratio)).toBeLessThan(0.05 * ratio);
    }
  });

  it.each(["sentence", "phrase"] as const)("extraction by %s invents no word", async (unit) => {
    await fc.assert(
      fc.asyncProperty(text, async (value) => {
        const input = { query: "Bern the", hits: [hit("a", value)] };
        const [short] = texts(await runOperator(extractive, { unit }, input));
        expect(value).toContain(short!.slice(0, 1));
        expect(words(short!).length).toBeLessThanOrEqual(words(value).length);
      }),
    );
  });

  it("a word of several tokens is kept or dropped whole", async () => {
    const tokens = [
      ["The", 1],
      [" V", 1],
      ["eld", 2],
      ["en", 6],
      [" rep", 3],
      ["orts", 3],
    ] as const;
    const model: LanguageModel = {
      ...scorer(),
      score: async () => ({
        tokens: tokens.map(([text, nats]) => ({ text, logprob: -nats })),
        usage: { prompt: 1, completion: 0 },
      }),
    };
    const given = { query: "q", hits: [hit("a", "The Velden reports")] };
    const output = await runOperator(compress, config, given, { host: hostOf({ "model/main": model }) });
    // 9 of 18 characters: " Velden" tells 9 nats and " reports" 6, where " V" alone would tell 1
    expect(texts(output)).toEqual(["Velden"]);
  });

  it("the phrases of a text are the text, and what they tell follows from kind and place", () => {
    fc.assert(
      fc.property(text, (value) => {
        expect(
          phrasesOf(value, new Set(["bern"]))
            .map((phrase) => phrase.text)
            .join(""),
        ).toBe(value);
      }),
    );
    const told = phrasesOf("In 1500 Leonardo da Vinci (of Vinci) painted the walls. Rome paid.", new Set(["painted"]));
    // the only word of the query is the third of the words that count, and nearest to itself
    const near = (distance: number) => Math.exp(-distance / 8);
    expect(told.map(({ text, information }) => [text.trim(), information])).toEqual([
      ["In", 0],
      ["1500 Leonardo da Vinci", expect.closeTo(4 + (near(6) + near(5) + near(3)) / 3, 12)],
      ["(of", 0],
      ["Vinci)", expect.closeTo(4 + near(1), 12)],
      ["painted", expect.closeTo(1.5 + 1, 12)],
      ["the", 0],
      ["walls.", expect.closeTo(1 + near(2), 12)],
      ["Rome", expect.closeTo(4 + near(3), 12)],
      ["paid.", expect.closeTo(1 + near(4), 12)],
    ]);
  });

  it.each([compress, selectiveContext])(
    "row 31: a model that cannot score a text is refused at set-up",
    async (operator) => {
      const silent = hostOf({ "model/main": scriptedModel([], { capabilities: ["logprobs"] }) });
      await expect(
        runOperator(operator as AnyOperator, config, { query: "q", hits: [] }, { host: silent }),
      ).rejects.toMatchObject({ code: "MISSING_CAPABILITY" });
    },
  );
});
