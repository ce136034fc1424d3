import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "@jest/globals";
import { type GenerateRequest, TesseraError } from "@tessera/core";
import { complete, mulberry32 } from "@tessera/core/internal";
import type { DecoderModel } from "../architectures/decoder.js";
import type { DecoderBatch, Engine } from "../engines/engine.js";
import { randomDecoderModel } from "../engines/gpu/decoder-reference.fixture.js";
import { logSoftmax, readSequence } from "../engines/reference/decoder.js";
import { referenceEngine } from "../engines/reference/engine.js";
import { readTokenizer, type Tokenizer } from "../tokenizer/tokenizer.js";
import { type LocalLanguageModel, localLanguageModel, openLocalLanguageModel } from "./language-model.js";

const marks = { end: 46, system: 29, user: 30, assistant: 31 };
let tokenizer: Tokenizer;
let model: DecoderModel;
beforeAll(async () => {
  tokenizer = await readTokenizer(fileURLToPath(new URL("../../tokenizer/tokenizer.json", import.meta.url)));
  const random = mulberry32(5);
  const rows = tokenizer.vocabulary;
  const embedding = { rows, columns: 24, values: Float32Array.from({ length: rows * 24 }, () => random() - 0.5) };
  const small = randomDecoderModel(3, { routing: "learned", keyValue: true, current: true });
  model = { ...small, embedding, head: embedding, marks };
});

/** An engine that says a text token by token and then ends, and keeps what it was asked. */
function scripted(text: string): { engine: Engine; batches: DecoderBatch[] } {
  const script = [...tokenizer.encode(text), marks.end];
  const batches: DecoderBatch[] = [];
  let at = 0;
  const engine: Engine = {
    info: { kind: "reference", device: "script", dtype: "none" },
    loadEncoder: () => Promise.reject(new Error("no encoder")),
    loadDecoder: async (_, cache) => ({
      ...cache,
      async step(batch) {
        batches.push(batch);
        const next = script[at++]!;
        return { next: Int32Array.of(next), logprob: Float32Array.of(-at) };
      },
      async close() {},
    }),
  };
  return { engine, batches };
}

const ask: GenerateRequest = { messages: [{ role: "user", content: "Hello" }], maxTokens: 40 };
async function said(text: string, request: Partial<GenerateRequest> = {}): Promise<string[]> {
  const opened = await localLanguageModel(model, tokenizer, scripted(text).engine);
  const parts: string[] = [];
  for await (const delta of opened.generate({ ...ask, ...request })) if (delta.text !== "") parts.push(delta.text);
  await opened.close();
  return parts;
}

describe("a decoder as a language model", () => {
  it("streams the text that its tokens spell, whole characters only", async () => {
    const text = "Straße 🧩 naïve 漢字, done.";
    const parts = await said(text);
    expect(parts.join("")).toBe(text);
    expect(parts.length).toBeGreaterThan(3);
    expect(parts.join("|")).not.toContain("\uFFFD");
  });

  it("ends at a stop string that crosses the borders of tokens, and sends nothing of it", async () => {
    expect((await said("one two three four", { stop: ["o thr"] })).join("")).toBe("one tw");
    expect((await said("one two three four", { stop: ["fourteen", "zz"] })).join("")).toBe("one two three four");
    expect((await said("one two three four", { stop: ["three", "two"] })).join("")).toBe("one ");
  });

  it("writes messages by the template, and the prefix after the last mark", async () => {
    const { engine, batches } = scripted("x");
    const opened = await localLanguageModel(model, tokenizer, engine);
    await complete(opened, {
      messages: [
        { role: "system", content: "S" },
        { role: "user", content: "Q" },
        { role: "assistant", content: "A" },
        { role: "user", content: "R" },
      ],
      prefix: "P",
      maxTokens: 5,
    });
    const [s, q, a, r, p] = ["S", "Q", "A", "R", "P"].map((text) => [...tokenizer.encode(text)]);
    expect([...batches[0]!.ids]).toEqual([29, ...s!, 30, ...q!, 31, ...a!, 46, 30, ...r!, 31, ...p!]);
    await opened.close();
  });

  it("continues a text without any message, and refuses to continue nothing", async () => {
    const { engine, batches } = scripted(" is fun");
    const opened = await localLanguageModel(model, tokenizer, engine);
    expect((await complete(opened, { messages: [], prefix: "To code", maxTokens: 9 })).text).toBe(" is fun");
    expect([...batches[0]!.ids]).toEqual([marks.assistant, ...tokenizer.encode("To code")]);
    await expect(complete(opened, { messages: [], prefix: "", maxTokens: 9 })).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
    });
    await opened.close();
  });

  it("reads no more of a prompt that is too long than it takes to refuse it", async () => {
    let read = 0;
    const counting: Tokenizer = {
      vocabulary: tokenizer.vocabulary,
      bytes: (id) => tokenizer.bytes(id),
      decode: (ids) => tokenizer.decode(ids),
      encode(text, most) {
        const ids = tokenizer.encode(text, most);
        read += ids.length;
        return ids;
      },
    };
    const opened = await localLanguageModel(model, counting, scripted("").engine);
    const messages = [1, 2, 3].map(() => ({ role: "user" as const, content: "word ".repeat(100_000) }));
    read = 0;
    await expect(complete(opened, { messages, maxTokens: 9 })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    expect(read).toBeLessThanOrEqual(model.context);
    await opened.close();
  });

  it("lets the event loop turn between prompts that come at once, and between the parts of a tokenizer", async () => {
    let turn = 0;
    const count = (): void => {
      turn += 1;
      turning = setImmediate(count);
    };
    let turning = setImmediate(count);
    const turns = new Set<number>();
    const watched: Tokenizer = {
      vocabulary: tokenizer.vocabulary,
      bytes: (id) => tokenizer.bytes(id),
      decode: (ids) => tokenizer.decode(ids),
      encode(text, most) {
        if (text === "Hello") turns.add(turn);
        return tokenizer.encode(text, most);
      },
    };
    const opened = await localLanguageModel(model, watched, referenceEngine());
    await Promise.all(Array.from({ length: 5 }, () => complete(opened, { ...ask, maxTokens: 1 })));
    expect(turns.size).toBe(5);
    const before = turn;
    await readTokenizer(fileURLToPath(new URL("../../tokenizer/tokenizer.json", import.meta.url)));
    expect(turn - before).toBeGreaterThan(40); // 16,384 entries, three times, by 1,024
    clearImmediate(turning);
    await opened.close();
  });

  it("gives the tokens of the text with their log-probabilities, and their number at the end", async () => {
    const opened = await localLanguageModel(model, tokenizer, scripted("one two three").engine);
    const answer = await complete(opened, { ...ask, logprobs: true });
    expect(answer.tokens.map(({ text }) => text).join("")).toBe("one two three");
    expect(answer.tokens.map(({ logprob }) => logprob)).toEqual(answer.tokens.map((_, i) => -1 - i));
    expect(answer.finish).toBe("stop");
    expect(answer.usage!.completion).toBeGreaterThanOrEqual(answer.tokens.length);
    await opened.close();
  });

  it("scores a given text: its tokens, each by what stands before it", async () => {
    const opened = await localLanguageModel(model, tokenizer, referenceEngine());
    expect([...opened.capabilities].sort()).toEqual(["json", "logprobs", "prefix", "score", "seed"]);
    const { messages } = ask;
    const { tokens, usage } = await opened.score!({ messages, text: "fine, thank you" });
    expect(tokens.map(({ text }) => text).join("")).toBe("fine, thank you");
    const prompt = [marks.user, ...tokenizer.encode("Hello"), marks.assistant];
    expect(usage).toEqual({ prompt: prompt.length, completion: tokens.length });
    const ids = [...prompt, ...tokenizer.encode("fine, thank you")];
    const { logits } = readSequence(model, ids);
    for (const [i, { logprob }] of tokens.entries())
      expect(logprob).toBeCloseTo(logSoftmax(logits[prompt.length + i - 1]!)[ids[prompt.length + i]!]!, 4);
    for (const text of ["", "word ".repeat(300)])
      await expect(opened.score!({ messages, text })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await opened.close();
  });

  it("draws the same by a seed whatever runs beside it, and only what has text", async () => {
    const opened: LocalLanguageModel = await localLanguageModel(model, tokenizer, referenceEngine());
    const request = { ...ask, maxTokens: 4, temperature: 1.3, topP: 0.9, seed: 11, logprobs: true, alternatives: 2 };
    const alone = await complete(opened, request);
    const [again, other] = await Promise.all([complete(opened, request), complete(opened, { ...request, seed: 12 })]);
    expect(again).toEqual(alone);
    expect(other.text).not.toBe(alone.text);
    expect(alone.tokens[0]!.alternatives).toHaveLength(2);
    expect(alone.tokens.every(({ text }) => text !== "")).toBe(true);
    expect(opened.count("Hello")).toBe(tokenizer.encode("Hello").length);
    await opened.close();
    await expect(complete(opened, request)).rejects.toMatchObject({ code: "CLOSED" });
  });

  it("refuses requests that cannot be answered, and goes on answering others", async () => {
    const opened = await localLanguageModel(model, tokenizer, scripted("fine").engine);
    const cases: [Partial<GenerateRequest>, string, RegExp][] = [
      [{ messages: [] }, "BAD_ARGUMENT", /empty/],
      [{ messages: [{ role: "user", content: "" }] }, "BAD_ARGUMENT", /empty/],
      [{ messages: [{ role: "assistant", content: "A" }] }, "BAD_ARGUMENT", /assistant/],
      [{ messages: [...ask.messages, { role: "system", content: "S" }] }, "BAD_ARGUMENT", /system/],
      [{ messages: [{ role: "user", content: "word ".repeat(300) }] }, "BAD_ARGUMENT", /together may have 160/],
      [{ maxTokens: 0 }, "BAD_ARGUMENT", /maxTokens/],
      [{ temperature: -1 }, "BAD_ARGUMENT", /temperature/],
      [{ temperature: Number.NaN }, "BAD_ARGUMENT", /temperature/],
      [{ topP: 0 }, "BAD_ARGUMENT", /top-p/],
      [{ seed: 0.5 }, "BAD_ARGUMENT", /seed/],
      [{ stop: [""] }, "BAD_ARGUMENT", /stop/],
      [{ alternatives: 2 }, "BAD_ARGUMENT", /alternatives/],
      [{ schema: { type: "string", pattern: "x" } }, "BAD_ARGUMENT", /pattern/],
    ];
    for (const [change, code, message] of cases)
      await expect(complete(opened, { ...ask, ...change })).rejects.toMatchObject({
        code,
        message: expect.stringMatching(message),
      });
    expect((await complete(opened, ask)).text).toBe("fine");
    await opened.close();
  });

  it("refuses a bundle without a tokenizer, a tokenizer of another model, and an engine without decoders", async () => {
    const toy = fileURLToPath(new URL("../fixtures/moe-toy", import.meta.url));
    await expect(openLocalLanguageModel(toy, referenceEngine())).rejects.toMatchObject({ code: "BAD_BUNDLE" });
    const narrow = { ...model, embedding: { ...model.embedding, rows: 100 } };
    await expect(localLanguageModel(narrow, tokenizer, referenceEngine())).rejects.toMatchObject({
      code: "BAD_BUNDLE",
    });
    const encodersOnly: Engine = {
      ...referenceEngine(),
      loadDecoder: async () => {
        throw new TesseraError("MISSING_CAPABILITY", "this engine computes no decoders");
      },
    };
    await expect(localLanguageModel(model, tokenizer, encodersOnly)).rejects.toMatchObject({
      code: "MISSING_CAPABILITY",
    });
  });
});
