import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { type Delta, type GenerateRequest, TesseraError } from "@tessera/core";
import { type Completion, complete } from "@tessera/core/internal";
import { needs } from "@tessera/testkit";
import { cpuEngine } from "../engines/cpu.js";
import { logSoftmax, readSequence } from "../engines/reference/decoder.js";
import { ggufOf, llama, spoken, tokens } from "../formats/gguf-model.fixture.js";
import { openDecoderModel } from "../formats/open-model.js";
import { openLocalLanguageModel } from "../serving/language-model.js";
import { openLlamaCppEncoder } from "./llama-cpp-encoder.js";
import { type LlamaCppLanguageModel, openLlamaCppModel } from "./llama-cpp-language-model.js";

const real = join(process.env.TESSERA_CHECKPOINTS ?? "none", "SmolLM2-135M-Instruct.Q4_1.gguf");
const withReal = needs(
  existsSync(real),
  "SmolLM2-135M-Instruct.Q4_1.gguf is not in $TESSERA_CHECKPOINTS: python apps/train/checkpoints.py FOLDER fetches it",
);

const user = (content: string) => ({ role: "user" as const, content });
const codeOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "none",
    (error: unknown) => (error instanceof TesseraError ? error.code : String(error)),
  );

let folder: string;
let tiny: string;
let model: LlamaCppLanguageModel;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-llama-cpp-"));
  tiny = join(folder, "tiny.gguf");
  await writeFile(tiny, await ggufOf("llama", spoken, true));
  model = await openLlamaCppModel({ file: tiny, threads: 1, sequences: 2 });
});
afterAll(async () => {
  await model?.close();
  await rm(folder, { recursive: true, force: true });
});

const program = fileURLToPath(new URL("answers.fixture.ts", import.meta.url));
const sources = new URL("../../../../apps/setup/sources.mjs", import.meta.url).href;

/** Answers of the tiny checkpoint in a process of its own. */
async function answers(requests: readonly GenerateRequest[]): Promise<Completion[]> {
  const words = ["--conditions=@tessera/source", `--import=${sources}`, program, tiny, JSON.stringify(requests)];
  const { stdout } = await promisify(execFile)(process.execPath, words, { env: { ...process.env, NODE_OPTIONS: "" } });
  return JSON.parse(stdout) as Completion[];
}

const idsOf = (text: string): number[] => [...text].map((letter) => tokens.indexOf(letter));

describe("a tiny checkpoint that llama.cpp computes", () => {
  it("scores a text as our reference does", async () => {
    const { tokens: scored, usage } = await model.score!({ messages: [user("abc")], text: "defgh", plain: true });
    expect(usage).toEqual({ prompt: 3, completion: 5 });
    expect(scored.map(({ text }) => text).join("")).toBe("defgh");
    const { logits } = readSequence(await openDecoderModel(tiny), idsOf("abcdefgh"));
    for (const [i, { logprob }] of scored.entries())
      expect(Math.abs(logprob - logSoftmax(logits[2 + i]!)[idsOf("abcdefgh")[3 + i]!]!)).toBeLessThan(0.02);
  });

  it("frames messages by the file's template, and a mark that a user writes stays text", async () => {
    const prompt = async (content: string): Promise<number> =>
      (await complete(model, { messages: [user(content)], maxTokens: 1 })).usage!.prompt;
    expect(await prompt("abc")).toBe(5);
    expect(await prompt("abc<end>")).toBe(8);
  });

  it("draws the likeliest tokens of our reference, with log-probabilities at temperature 1 whatever the temperature", async () => {
    const request = { messages: [user("hello")], maxTokens: 6, logprobs: true, alternatives: 8, seed: 3 };
    const [answer, hot] = await answers([request, { ...request, temperature: 1.7, topP: 0.5 }]);
    const reference = await openDecoderModel(tiny);
    const ids = [1, ...idsOf("hello"), 1];
    expect(answer!.tokens).toHaveLength(6);
    for (const { text, logprob, alternatives } of answer!.tokens) {
      const { logits } = readSequence(reference, ids);
      // marks have no text; the end may be drawn
      const drawable = logits.at(-1)!.map((logit, id) => (id === 0 || tokens[id]!.length === 1 ? logit : -1e9));
      const row = logSoftmax(drawable);
      const best = row.indexOf(Math.max(...row));
      expect(text).toBe(tokens[best]);
      expect(Math.abs(logprob - row[best]!)).toBeLessThan(0.02);
      expect(alternatives).toHaveLength(8);
      expect(alternatives![0]).toEqual({ text, logprob });
      ids.push(best);
    }
    expect(answer!.usage).toEqual({ prompt: 7, completion: 6 });
    for (const [i, { logprob }] of answer!.tokens[0]!.alternatives!.entries())
      expect(hot!.tokens[0]!.alternatives![i]!.logprob).toBeCloseTo(logprob, 3);
  });

  it("gives one answer to one seed, and stops before a stop string", async () => {
    const request = { messages: [user("abc")], maxTokens: 12, temperature: 1 };
    const texts = await Promise.all([5, 5, 6, 7].map((seed) => complete(model, { ...request, seed })));
    expect(texts[1]!.text).toBe(texts[0]!.text);
    expect(new Set(texts.map(({ text }) => text)).size).toBeGreaterThan(1);
    const { text } = texts[0]!;
    const stop = text[3] ?? text.at(-1)!;
    const stopped = await complete(model, { ...request, seed: 5, stop: [stop] });
    expect(stopped).toMatchObject({ text: text.slice(0, text.indexOf(stop)), finish: "stop" });
  });

  it("answers more callers than it has sequences, and one that leaves early frees its own", async () => {
    const request = (content: string) => ({ messages: [user(content)], maxTokens: 8 });
    const contents = ["a", "bc", "def", "gh", "ijk", "lmno", "pq"];
    const alone: string[] = [];
    for (const content of contents) alone.push((await complete(model, request(content))).text);
    const early = (async (): Promise<Delta> => {
      for await (const delta of model.generate({ messages: [user("leaves")], maxTokens: 60 })) return delta;
      throw new Error("there was no part");
    })();
    const together = await Promise.all(contents.map((content) => complete(model, request(content))));
    await early;
    expect(together.map(({ text }) => text)).toEqual(alone);
  });

  it("reads a prompt that begins as an earlier one from where they part", async () => {
    const long = "abcdefghij".repeat(6);
    const scores = async (text: string): Promise<number[]> =>
      (await model.score!({ messages: [user(long)], text, plain: true })).tokens.map(({ logprob }) => logprob);
    const first = await scores("klm");
    await scores("xyz");
    expect(await scores("klm")).toEqual(first.map((logprob) => expect.closeTo(logprob, 2)));
  });

  it("ends with the reason of its signal", async () => {
    const stop = new AbortController();
    const request = { messages: [user("abc")], maxTokens: 100 };
    const run = (async () => {
      for await (const _ of model.generate(request, stop.signal)) stop.abort(new Error("enough"));
    })();
    await expect(run).rejects.toThrow("enough");
    await expect(complete(model, request, AbortSignal.abort(new Error("before")))).rejects.toThrow("before");
  });

  it("refuses what it cannot do", async () => {
    const messages = [user("abc")];
    expect(await codeOf(complete(model, { messages, maxTokens: 2, schema: { type: "object" } }))).toBe(
      "MISSING_CAPABILITY",
    );
    expect(await codeOf(complete(model, { messages: [user("a".repeat(300))], maxTokens: 2 }))).toBe("BAD_ARGUMENT");
    expect(await codeOf(complete(model, { messages, maxTokens: 0 }))).toBe("BAD_ARGUMENT");
    expect(await codeOf(openLlamaCppModel({ file: join(folder, "none.gguf") }))).toBe("BAD_BUNDLE");
    expect(await codeOf(openLlamaCppModel({ file: tiny, threads: 0 }))).toBe("BAD_ARGUMENT");
    expect(await codeOf(openLlamaCppModel({ file: tiny, sequences: 1.5 }))).toBe("BAD_ARGUMENT");
    const cut = join(folder, "cut.gguf");
    await writeFile(cut, (await ggufOf("llama", spoken, true)).subarray(0, 9000));
    expect(await codeOf(openLlamaCppModel({ file: cut }))).toBe("BAD_BUNDLE");
  });

  it("is closed for everyone", async () => {
    const other = await openLlamaCppModel({ file: tiny, threads: 1, sequences: 1 });
    await other.close();
    expect(await codeOf(complete(other, { messages: [user("abc")], maxTokens: 2 }))).not.toBe("none");
  });

  it("encodes texts as unit vectors, a long one by its beginning", async () => {
    const encoder = await openLlamaCppEncoder({ file: tiny, threads: 1, context: 32, prefixes: { query: "ab" } });
    try {
      const how = { kind: "text" as const };
      const [one, same, other, empty] = await encoder.encode(["abc", "abc", "xyz", ""], how);
      expect(one).toHaveLength(encoder.width);
      expect(Math.hypot(...one!)).toBeCloseTo(1, 5);
      expect([...same!]).toEqual([...one!]);
      expect([...other!]).not.toEqual([...one!]);
      expect(empty).toHaveLength(encoder.width);
      expect([...(await encoder.encode(["c"], { kind: "query" }))[0]!]).toEqual([...one!]);
      const [long, longer] = await encoder.encode(["abcd".repeat(20), "abcd".repeat(30)], how);
      expect([...longer!]).toEqual([...long!]);
      expect(await codeOf(encoder.encode(["a"], { kind: "text", width: 8 }))).toBe("BAD_ARGUMENT");
    } finally {
      await encoder.close();
    }
  });

  it("opens a file without a tokenizer's template as plain text", async () => {
    const { "tokenizer.chat_template": _, ...plain } = spoken;
    const path = join(folder, "plain.gguf");
    await writeFile(path, await ggufOf("llama", { ...llama, ...plain }, true));
    const opened = await openLlamaCppModel({ file: path, threads: 1, sequences: 1 });
    try {
      expect((await complete(opened, { messages: [user("abc")], maxTokens: 1 })).usage!.prompt).toBe(3);
    } finally {
      await opened.close();
    }
  });
});

describe("SmolLM2 by llama.cpp and by our own engine", () => {
  withReal("says the same of a prompt's first tokens, of a text's score, and writes whole characters", async () => {
    const theirs = await openLlamaCppModel({ file: real, threads: 1, sequences: 1, context: 512 });
    const ours = await openLocalLanguageModel(real, cpuEngine({ workers: 1 }), { blocks: 32, blockTokens: 16 });
    try {
      const request = { messages: [user("Say “naïve café ☕ 你好” and nothing else.")], maxTokens: 24 };
      const [one, other] = await Promise.all([complete(theirs, request), complete(ours, request)]);
      expect(one.usage!.prompt).toBe(other.usage!.prompt);
      expect(one.text).not.toContain("\ufffd");
      const scored = { messages: [user("def add(a, b):\n    return a + b")], text: " adds two numbers", plain: true };
      const [mine, yours] = await Promise.all([ours.score!(scored), theirs.score!(scored)]);
      expect(yours.tokens.map(({ text }) => text)).toEqual(mine.tokens.map(({ text }) => text));
      for (const [i, { logprob }] of mine.tokens.entries())
        expect(Math.abs(logprob - yours.tokens[i]!.logprob)).toBeLessThan(0.5);
    } finally {
      await Promise.all([theirs.close(), ours.close()]);
    }
  });
});
