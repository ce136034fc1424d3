import { describe, expect, it } from "@jest/globals";
import type { Answer, Hit } from "@tessera/core";
import { contextOf, runOperator, testOperator } from "@tessera/testkit";
import { extract } from "./extract.js";

const code = (path: string, symbol: string, from: number, text: string): Hit => ({
  passage: {
    id: `${path}#${symbol}`,
    text,
    title: `${path}: ${symbol}`,
    source: { path, lines: [from, from + text.split("\n").length - 1], symbol },
    metadata: { language: "typescript", kind: "function" },
  },
  score: 1,
  provenance: [],
});
const prose = (id: string, title: string, text: string): Hit => ({
  passage: { id, text, title, metadata: {} },
  score: 1,
  provenance: [],
});

const hits = [
  code("src/queue.ts", "push", 4, "/** Adds a job. */\nexport function push(job: Job): void {\n  jobs.push(job);\n}"),
  code(
    "src/retry.test.ts",
    "waits",
    1,
    'it("retries are backed off", async () => {\n  expect(await delay(3)).toBe(800);\n});',
  ),
  code(
    "src/client.ts",
    "Client.send",
    40,
    "/** Sends a request, and again when it failed. */\nasync send(request: Request): Promise<Response> {\n  for (let attempt = 1; ; attempt++) {\n    const response = await fetch(request);\n    if (response.ok) return response;\n    await sleep(backoff(attempt)); // retry later\n  }\n}",
  ),
  code(
    "src/retry.ts",
    "backoff",
    10,
    "/** How long a retry waits: twice as long each time. */\nexport function backoff(attempt: number): number {\n  return Math.min(30_000, 100 * 2 ** attempt);\n}",
  ),
];

testOperator(extract, {
  cases: [
    {
      name: "answers where something is done in code",
      config: { passages: 1 },
      input: { query: "where are retries backed off?", hits },
      output: {
        answer: {
          text: "`backoff` in src/retry.ts:10-13 [1]: How long a retry waits: twice as long each time.\n\n    export function backoff(attempt: number): number",
          citations: [
            { marker: 1, passage: "src/retry.ts#backoff", path: "src/retry.ts", lines: [10, 13], symbol: "backoff" },
          ],
          refused: false,
        },
        text: "`backoff` in src/retry.ts:10-13 [1]: How long a retry waits: twice as long each time.\n\n    export function backoff(attempt: number): number",
        refused: false,
      },
    },
    {
      name: "quotes sentences of prose",
      config: { passages: 1, quotes: 1 },
      input: {
        query: "Who won the first Nobel Prize in Physics?",
        hits: [
          prose("b", "Nobel Prize", "The prizes are given in Stockholm. They began in 1901."),
          prose(
            "a",
            "Nobel laureates in Physics",
            "The prize has 200 laureates. The first Nobel Prize in Physics was awarded to Wilhelm Röntgen, of Germany. It was 1901.",
          ),
        ],
      },
      output: {
        answer: {
          text: "The first Nobel Prize in Physics was awarded to Wilhelm Röntgen, of Germany. [1]",
          citations: [{ marker: 1, passage: "a" }],
          refused: false,
        },
        text: "The first Nobel Prize in Physics was awarded to Wilhelm Röntgen, of Germany. [1]",
        refused: false,
      },
    },
    {
      name: "refuses where nothing covers the question",
      input: { query: "How do I bake sourdough bread?", hits },
      output: {
        answer: { text: "Nothing that was found answers this question.", citations: [], refused: true },
        text: "Nothing that was found answers this question.",
        refused: true,
      },
    },
    {
      name: "refuses where nothing was found",
      input: { query: "anything", hits: [] },
      output: ({ refused }) => expect(refused).toBe(true),
    },
  ],
});

describe("generator.extract", () => {
  const run = async (question: string, from: Hit[] = hits, config: object = {}) => {
    const context = contextOf();
    const output = (await runOperator(extract, config, { query: question, hits: from }, { context })) as {
      answer: Answer;
      text: string;
    };
    return { ...output, streamed: context.emitted.map(({ delta }) => delta).join("") };
  };

  it("quotes the line of a body that says what name and description do not", async () => {
    const { text } = await run("where does the client sleep before a retry?");
    expect(text).toContain("`Client.send` in src/client.ts:40-47 [1]");
    expect(text).toContain("    45 | await sleep(backoff(attempt)); // retry later");
  });

  it("prefers the source to its test", async () => {
    const { answer } = await run("where are retries backed off?");
    expect(answer.citations[0]!.path).toBe("src/retry.ts");
  });

  it.each(["back off", "backOff", "back_off", "BACKOFF", "backing off"])("finds `backoff` by %j", async (name) => {
    expect((await run(`what computes the ${name}`)).answer.citations[0]!.symbol).toBe("backoff");
  });

  it("numbers its citations from 1 in the order of its text, and streams that text", async () => {
    const { text, streamed, answer } = await run("retry backoff attempt sleep");
    expect(streamed).toBe(text);
    expect(answer.citations.map(({ marker }) => marker)).toEqual(answer.citations.map((_, index) => index + 1));
    const markers = [...text.matchAll(/ \[(\d)\]/g)].map(([, marker]) => Number(marker));
    expect(markers).toEqual(answer.citations.map(({ marker }) => marker));
  });

  it("names a definition once, though several of its parts were found", async () => {
    const part = code("src/retry.ts", "backoff", 14, "  // backoff, retries\n  return retry(backoff);");
    const { answer } = await run("where are retries backed off?", [
      ...hits,
      { ...part, passage: { ...part.passage, id: "part-2" } },
    ]);
    expect(answer.citations.filter(({ symbol }) => symbol === "backoff")).toHaveLength(1);
  });

  it("names the symbols of a group that match", async () => {
    const group: Hit = {
      passage: {
        id: "limits",
        text: "export const maxRetries = 3;\nexport const colour = 1;",
        source: { path: "src/limits.ts", lines: [1, 2] },
        metadata: { language: "typescript", symbols: ["maxRetries", "colour"] },
      },
      score: 1,
      provenance: [],
    };
    expect((await run("how many retries at most, maxRetries?", [group])).text).toBe(
      "`maxRetries` in src/limits.ts:1-2 [1]\n\n    1 | export const maxRetries = 3;",
    );
  });

  it("a passage cannot smuggle a citation in: only chosen passages are cited", async () => {
    const { answer } = await run("retries backed off", [
      prose("x", "Retries", "Retries are backed off as told in [7]."),
    ]);
    expect(answer.citations).toEqual([{ marker: 1, passage: "x" }]);
  });

  it("answers a question that has only common words by all of them", async () => {
    expect((await run("what is this?", [prose("x", "This", "What is this thing?")])).answer.refused).toBe(false);
  });

  describe("with similarities", () => {
    const ranked = hits.map((one, index) => ({ ...one, score: 1 - index / 10 }));
    const ask = async (query: string, similarities?: Record<string, number>) =>
      ((await runOperator(extract, {}, { query, hits: ranked, similarities })) as { answer: Answer }).answer;
    const all = (similarity: number) => Object.fromEntries(hits.map(({ passage }) => [passage.id, similarity]));

    it("answers a question that shares no word with its place", async () => {
      const question = "pause between attempts that went wrong";
      expect((await ask(question)).refused).toBe(true);
      const { refused, citations } = await ask(question, { ...all(0.1), "src/retry.ts#backoff": 0.6 });
      expect([refused, citations[0]!.symbol]).toEqual([false, "backoff"]);
    });

    it("refuses words that are met by chance", async () => {
      const question = "who retries the sourdough of the bakery";
      expect((await ask(question, all(0.05))).refused).toBe(true);
      expect((await ask(question, all(0.45))).refused).toBe(false);
    });

    it("takes coverage where a passage was not looked at", async () => {
      const question = "where are retries backed off?";
      expect((await ask(question, {})).refused).toBe(false);
      expect((await ask("How do I bake sourdough bread?", {})).refused).toBe(true);
    });
  });

  it("keeps the order of the scores, and cites neighbours as one place", async () => {
    const at = (from: number, name: string, score: number): Hit => ({
      ...code("src/a.ts", name, from, `/** Retries ${name}. */\nfunction ${name}() {\n  retry();\n}`),
      score,
    });
    const other = code("src/b.ts", "far", 1, "/** Retries far. */\nfunction far() {\n  retry();\n}");
    const { answer, text } = await run("how does it retry?", [
      at(10, "one", 1),
      at(500, "two", 0.9),
      at(30, "three", 0.8),
      { ...other, score: 0.7 },
    ]);
    expect(answer.citations.map(({ path, lines }) => [path, lines])).toEqual([
      ["src/a.ts", [10, 33]],
      ["src/a.ts", [500, 503]],
      ["src/b.ts", [1, 4]],
    ]);
    expect(text).toContain("`three` in src/a.ts:30-33 [1]");
  });
});
