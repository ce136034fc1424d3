import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import type { Answer, Hit, LanguageModel } from "@tessera/core";
import { contextOf, hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { dual } from "./dual.js";
import { instruct } from "./instruct.js";
import { jsonLines, writeRecords } from "./jsonl.js";
import { prefer } from "./prefer.js";
import { messagesOf } from "./prompt.js";
import { splitOf } from "./tuning.js";

const hitOf = (id: string, text: string): Hit => ({ passage: { id, text, metadata: {} }, score: 1, provenance: [] });
const hits = [hitOf("good", "It waits twice as long."), hitOf("bad", "The bridge is red.")];
const answerOf = (text: string, ...cited: string[]): Answer => ({
  text,
  citations: cited.map((passage, index) => ({ marker: index + 1, passage })),
  refused: false,
});
const refused: Answer = { text: "I do not know.", citations: [], refused: true };
const query = "How long does it wait?";
const input = { query, hits, answer: answerOf("Twice as long [1].", "good") };

/** A model to which a text is the likelier, the better a passage speaks of waiting: −1 or −2 nats a token. */
const scoring: LanguageModel = {
  ...scriptedModel([], { capabilities: ["score"] }),
  async score({ messages, text }) {
    const logprob = messages[1]!.content.includes("waits") ? -1 : -2;
    const tokens = text.split(" ").map((word) => ({ text: word, logprob }));
    return { tokens, usage: { prompt: 10, completion: tokens.length } };
  },
};

testOperator(instruct, {
  cases: [
    {
      name: "row 34: a chat with the prompt of generator.answer",
      input,
      output: {
        records: [
          {
            split: splitOf(query, 0.1),
            query,
            passages: ["good", "bad"],
            messages: [
              ...messagesOf(
                hits.map(({ passage }) => passage),
                { query },
                "",
              ),
              { role: "assistant", content: "Twice as long [1]." },
            ],
          },
        ],
      },
    },
    {
      name: "a refusal teaches the word that the prompt asks for",
      input: { ...input, answer: refused },
      output: ({ records }) => expect(JSON.stringify(records)).toContain('"content":"NO ANSWER"}'),
    },
    {
      name: "of a teacher, an answer that cites nothing is not learnt from",
      config: { teacher: "large" },
      input: { ...input, answer: answerOf("Twice as long.") },
      output: { records: [] },
    },
    {
      name: "of a teacher, an answer that cites is, under its name",
      config: { teacher: "large" },
      input,
      output: ({ records }) => expect(records).toMatchObject([{ teacher: "large" }]),
    },
  ],
});

testOperator(prefer, {
  cases: [
    {
      name: "row 35: pairs the best with each that is worse by the margin",
      config: { margin: 0.3 },
      input: {
        query,
        hits,
        answers: [answerOf("middling"), answerOf("best"), answerOf("worst"), answerOf("best")],
        scores: [0.7, 0.9, 0.2, 0.1],
      },
      output: ({ records }) =>
        expect(records).toMatchObject([
          {
            chosen: [{ role: "assistant", content: "best" }],
            rejected: [{ content: "worst" }],
            chosenScore: 0.9,
            rejectedScore: 0.2,
            margin: 0.7,
          },
        ]),
    },
    {
      name: "one answer makes no pair",
      input: { query, hits, answers: [refused], scores: [1] },
      output: { records: [] },
    },
    { name: "no answer makes no pair", input: { query, hits, answers: [], scores: [] }, output: { records: [] } },
  ],
});

testOperator(dual, {
  host: () => hostOf({ "model/large": scoring }),
  cases: [
    {
      name: "row 36: records of both, from the same retrieval, by equation 11",
      config: { model: "large", temperature: 0.5 },
      input,
      output: ({ generator, retriever }, context) => {
        expect(generator).toMatchObject([{ passages: ["good"] }, { passages: ["bad"] }]);
        const share = Math.exp(-1 / 0.5) / (Math.exp(-1 / 0.5) + Math.exp(-2 / 0.5));
        expect(retriever).toMatchObject([
          {
            ids: ["good", "bad"],
            lmScore: [-1, -2],
            target: [expect.closeTo(share), expect.closeTo(1 - share)],
          },
        ]);
        expect(context.spent).toMatchObject({ calls: 2, tokens: 26 });
      },
    },
    {
      name: "a refusal gives no records",
      config: { model: "large" },
      input: { ...input, answer: refused },
      output: { generator: [], retriever: [] },
    },
  ],
});

describe("tuning records", () => {
  it("dual tuning refuses a model that cannot score, before anything runs", async () => {
    const host = hostOf({ "model/large": scriptedModel([]) });
    await expect(runOperator(dual, { model: "large" }, input, { host, context: contextOf() })).rejects.toMatchObject({
      code: "MISSING_CAPABILITY",
    });
  });

  it("row 34: train and test share no question, however it is written, and the share is about what was asked for", () => {
    fc.assert(
      fc.property(fc.string(), fc.double({ min: 0, max: 1, noNaN: true }), (question, test) => {
        const variants = [question, ` ${question.toUpperCase().toLowerCase()}`, `${question}?`];
        expect(new Set(variants.map((variant) => splitOf(variant.toLowerCase(), test))).size).toBe(1);
      }),
    );
    const kept = Array.from({ length: 5000 }, (_, i) => splitOf(`question ${i}`, 0.2)).filter(
      (part) => part === "test",
    );
    expect(kept.length / 5000).toBeGreaterThan(0.17);
    expect(kept.length / 5000).toBeLessThan(0.23);
  });

  it("are lines of JSON, in a file for each part", async () => {
    const folder = await mkdtemp(join(tmpdir(), "records-"));
    const records = [
      { split: "train" as const, text: "a\nb" },
      { split: "test" as const, text: "c" },
      { split: "train" as const, text: "d" },
    ];
    await writeRecords(join(folder, "deep"), records);
    await writeRecords(join(folder, "deep"), records.slice(0, 1));
    const lines = (await readFile(join(folder, "deep", "train.jsonl"), "utf8")).trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual([records[0], records[2], records[0]]);
    expect(await readFile(join(folder, "deep", "test.jsonl"), "utf8")).toBe(jsonLines([records[1]!]));
    await expect(writeRecords("/dev/null/no", records)).rejects.toMatchObject({ code: "STORE_FAILED" });
    await rm(folder, { recursive: true });
  });
});
