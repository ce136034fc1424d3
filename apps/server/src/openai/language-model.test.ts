import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { ChatOpenAI, OpenAI as OpenAiCompletions } from "@langchain/openai";
import type { GenerateRequest, LanguageModel } from "@tessera/core";
import { complete } from "@tessera/core/internal";
import { cpuEngine, type LocalLanguageModel, openLocalLanguageModel } from "@tessera/models";
import type { Tokenizer } from "@tessera/models/internal";
import { readTokenizer } from "@tessera/models/internal";
import Fastify, { type FastifyInstance } from "fastify";
import OpenAI from "openai";
import { openaiRoutes } from "./routes.js";

// The language model that ships, on the CPU engine, behind the routes. What it says is of no use; how it says it counts.

const folder = fileURLToPath(new URL("../../../../packages/weights/bundles/code-language-model", import.meta.url));
const cache = { blocks: 64, blockTokens: 16 };
let languageModel: LocalLanguageModel;
let tokenizer: Tokenizer;
let app: FastifyInstance;
let client: OpenAI;
let baseURL: string;

beforeAll(async () => {
  languageModel = await openLocalLanguageModel(folder, cpuEngine({ workers: 1 }), cache, { sequences: 4, waiting: 2 });
  tokenizer = await readTokenizer(join(folder, "tokenizer.json"));
  app = Fastify({ forceCloseConnections: true });
  await app.register(openaiRoutes, { languageModels: { "code-language-model": languageModel } });
  baseURL = `${await app.listen({ port: 0, host: "127.0.0.1" })}/v1`;
  client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
});
afterAll(async () => {
  await app.close();
  await languageModel.close();
});

const chat = {
  model: "code-language-model",
  messages: [{ role: "user" as const, content: "Write a function that adds two numbers." }],
  max_tokens: 12,
};

/** Nothing runs, waits or holds blocks. */
const idle = { running: 0, waiting: 0, blocksFree: cache.blocks };
async function untilIdle(): Promise<void> {
  for (let i = 0; i < 200 && languageModel.scheduler.state.running > 0; i++) await sleep(5);
  expect(languageModel.scheduler.state).toMatchObject(idle);
}

async function metrics(): Promise<Map<string, number>> {
  const text = await (await fetch(baseURL.replace("/v1", "/metrics"))).text();
  const lines = [...text.matchAll(/^(tessera_language_model_\w+)\{model="code-language-model"\} (.+)$/gm)];
  return new Map(lines.map(([, name, value]) => [name!, Number(value)]));
}

describe("the language model behind OpenAI's routes", () => {
  it("answers a chat, whole and as a stream, the same by the same seed", async () => {
    const drawn = { ...chat, seed: 7, temperature: 1 };
    const whole = await client.chat.completions.create(drawn);
    const [choice] = whole.choices;
    expect(whole.usage!.prompt_tokens).toBe(tokenizer.encode(chat.messages[0]!.content).length + 2);
    expect(whole.usage!.completion_tokens).toBeGreaterThan(0);
    let text = "";
    let finish: string | null | undefined;
    for await (const piece of await client.chat.completions.create({ ...drawn, stream: true })) {
      text += piece.choices[0]?.delta.content ?? "";
      finish = piece.choices[0]?.finish_reason ?? finish;
    }
    expect(text).toBe(choice!.message.content);
    expect(finish).toBe(choice!.finish_reason);
    const other = await client.chat.completions.create({ ...drawn, seed: 8 });
    expect(other.choices[0]!.message.content).not.toBe(text);
    expect(other.system_fingerprint).toBe(whole.system_fingerprint);
    expect(languageModel.scheduler.state).toMatchObject(idle);
  });

  it("gives each token's log-probability, which the likeliest alternative has too without a temperature", async () => {
    const answer = await client.chat.completions.create({ ...chat, logprobs: true, top_logprobs: 3 });
    const content = answer.choices[0]!.logprobs!.content!;
    expect(content.map(({ token }) => token).join("")).toBe(answer.choices[0]!.message.content);
    for (const { token, logprob, top_logprobs } of content) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top_logprobs).toHaveLength(3);
      expect(top_logprobs[0]).toMatchObject({ token });
      expect(top_logprobs[0]!.logprob).toBeCloseTo(logprob, 5);
    }
  });

  it("ends before a stop string", async () => {
    const free = (await client.chat.completions.create(chat)).choices[0]!.message.content!;
    const stop = free.slice(4, 7);
    const held = await client.chat.completions.create({ ...chat, stop });
    expect(held.choices[0]!.message.content).toBe(free.slice(0, free.indexOf(stop)));
    expect(held.choices[0]!.finish_reason).toBe("stop");
  });

  it("continues a text, whole and as a stream, with log-probabilities", async () => {
    const asked = { model: "code-language-model", prompt: "function add(", max_tokens: 6, logprobs: 2 };
    const whole = await client.completions.create(asked);
    const { text, logprobs, finish_reason } = whole.choices[0]!;
    expect(finish_reason).toBe("length");
    expect(logprobs!.tokens!.join("")).toBe(text);
    expect(logprobs!.tokens).toHaveLength(6);
    let streamed = "";
    for await (const piece of await client.completions.create({ ...asked, stream: true }))
      streamed += piece.choices[0]?.text ?? "";
    expect(streamed).toBe(text);
  });

  it("holds its answer to a JSON Schema, though the model knows nothing of it", async () => {
    const schema = {
      type: "object",
      properties: { name: { enum: ["Ada", "Grace"] }, ok: { type: "boolean" }, count: { type: "integer" } },
      required: ["name", "ok", "count"],
      additionalProperties: false,
    };
    const answer = await client.chat.completions.create({
      ...chat,
      max_tokens: 60,
      response_format: { type: "json_schema", json_schema: { name: "answer", schema } },
    });
    expect(answer.choices[0]!.finish_reason).toBe("stop");
    expect(JSON.parse(answer.choices[0]!.message.content!)).toEqual({
      name: expect.stringMatching(/^(Ada|Grace)$/),
      ok: expect.any(Boolean),
      count: expect.any(Number),
    });
    const object = await client.chat.completions.create({
      ...chat,
      max_tokens: 40,
      response_format: { type: "json_object" },
    });
    expect(typeof JSON.parse(object.choices[0]!.message.content!)).toBe("object");
  });

  it("serves callers together, each with what he would get alone", async () => {
    const prompts = ["add", "subtract two numbers", "sort"].map((content) => [{ role: "user" as const, content }]);
    const ask = async (messages: (typeof prompts)[number]) =>
      (await client.chat.completions.create({ ...chat, messages, max_tokens: 8 })).choices[0]!.message.content;
    const alone: (string | null)[] = [];
    for (const messages of prompts) alone.push(await ask(messages));
    expect(await Promise.all(prompts.map(ask))).toEqual(alone);
  });

  it("computes a beginning that it read before only once, and says the same", async () => {
    const system = {
      role: "system" as const,
      content: "You write short functions in TypeScript and nothing else. ".repeat(4),
    };
    const ask = async () =>
      (await client.chat.completions.create({ ...chat, messages: [system, ...chat.messages] })).choices[0]!.message
        .content;
    const first = await ask();
    const before = (await metrics()).get("tessera_language_model_reused_total")!;
    expect(await ask()).toBe(first);
    const reused = (await metrics()).get("tessera_language_model_reused_total")! - before;
    expect(reused).toBeGreaterThanOrEqual(cache.blockTokens);
    expect(reused % cache.blockTokens).toBe(0);
  });

  it("frees its blocks at once when a client leaves, in a stream and before any answer", async () => {
    const long = { ...chat, max_tokens: 900, stream: true as const, temperature: 1, seed: 1 };
    const stream = await client.chat.completions.create(long);
    for await (const _ of stream) break;
    stream.controller.abort();
    await untilIdle();

    const { port } = app.server.address() as AddressInfo;
    const body = JSON.stringify({ ...long, stream: false });
    const socket = connect(port, "127.0.0.1");
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    for (let i = 0; i < 400 && languageModel.scheduler.state.running === 0; i++) await sleep(5);
    expect(languageModel.scheduler.state.running).toBe(1);
    socket.destroy();
    await once(socket, "close");
    await untilIdle();
  });

  it("answers 429 with a time to come again where the queue is full, and shows in its metrics what goes on", async () => {
    // without a temperature this model repeats itself and does not end
    const long = { ...chat, max_tokens: 200, temperature: 0, stream: true as const };
    const leave = new AbortController();
    const ask = () => client.chat.completions.create(long, { signal: leave.signal }).catch((error: unknown) => error);
    const many: Promise<unknown>[] = [];
    for (const state of [
      { running: 1 },
      { running: 2 },
      { running: 3 },
      { running: 4 },
      { waiting: 1 },
      { waiting: 2 },
    ]) {
      many.push(ask());
      const [[key, count]] = Object.entries(state) as [["running" | "waiting", number]];
      for (let i = 0; i < 400 && languageModel.scheduler.state[key] < count; i++) await sleep(2);
    }
    const busy = await metrics();
    expect(busy.get("tessera_language_model_running")).toBe(4);
    expect(busy.get("tessera_language_model_waiting")).toBe(2);
    expect(busy.get("tessera_language_model_blocks_free")).toBeLessThan(cache.blocks);
    for (const stream of [false, true]) {
      const refused = await client.chat.completions.create({ ...chat, stream }).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(OpenAI.RateLimitError);
      const { headers } = refused as InstanceType<typeof OpenAI.RateLimitError>;
      expect(Number(headers?.get("retry-after"))).toBeGreaterThanOrEqual(1);
    }
    leave.abort();
    await Promise.all(many);
    await untilIdle();
    const after = await metrics();
    expect(after.get("tessera_language_model_running")).toBe(0);
    expect(after.get("tessera_language_model_waiting")).toBe(0);
    expect(after.get("tessera_language_model_blocks_free")).toBe(cache.blocks);
    expect(after.get("tessera_language_model_generated_total")).toBe(languageModel.scheduler.totals.generated);
    expect((await client.chat.completions.create(chat)).choices[0]!.message.content).not.toBe("");
  });

  it("refuses a prompt beyond its context in OpenAI's words, and one of megabytes as quickly", async () => {
    for (const content of ["word ".repeat(2000), "word ".repeat(700_000)]) {
      const refused = client.chat.completions.create({ ...chat, messages: [{ role: "user", content }] });
      await expect(refused).rejects.toMatchObject({ status: 400, message: expect.stringContaining("tokens") });
    }
    expect(languageModel.scheduler.state).toMatchObject(idle);
  });
});

describe("LangChain's classes over the language model", () => {
  it("chat, stream, answer by a schema and continue a text", async () => {
    const configuration = { configuration: { baseURL }, apiKey: "none", maxRetries: 0, model: "code-language-model" };
    const model = new ChatOpenAI({ ...configuration, maxTokens: 40, temperature: 0 });
    const answer = await model.invoke("add two numbers");
    let text = "";
    for await (const part of await model.stream("add two numbers")) text += part.content as string;
    expect(text).toBe(answer.content);
    const structured = model.withStructuredOutput(
      { title: "answer", type: "object", properties: { ok: { type: "boolean" } }, required: ["ok"] },
      { method: "jsonSchema" },
    );
    expect(await structured.invoke("is it so?")).toEqual({ ok: expect.any(Boolean) });
    const completions = new OpenAiCompletions({ ...configuration, maxTokens: 4, temperature: 0 });
    const { choices } = await client.completions.create({
      model: "code-language-model",
      prompt: "return ",
      max_tokens: 4,
      temperature: 0,
    });
    expect(await completions.invoke("return ")).toBe(choices[0]!.text);
  });
});

describe("the same model through a provider of the AI SDK", () => {
  // the program of the page, as it stands there
  const page = fileURLToPath(new URL("../../../../docs/models/ai-sdk.md", import.meta.url));
  const work = fileURLToPath(new URL("../../.test/ai-sdk", import.meta.url));
  const program = join(work, "tessera.config.mjs");
  let model: LanguageModel;
  beforeAll(async () => {
    mkdirSync(work, { recursive: true });
    writeFileSync(program, /^```js\n(.*?)^```$/ms.exec(readFileSync(page, "utf8"))![1]!);
    process.env.MODELS_URL = baseURL;
    model = ((await import(pathToFileURL(program).href)) as { default: { model: LanguageModel } }).default.model;
  });
  afterAll(() => {
    delete process.env.MODELS_URL;
    rmSync(work, { recursive: true, force: true });
  });
  const request: GenerateRequest = { messages: chat.messages, maxTokens: 12, seed: 7, temperature: 1 };

  it("says what the model itself says, with its usage and finish", async () => {
    const direct = await complete(languageModel, request);
    const { text, finish, usage } = await complete(model, request);
    expect({ text, finish, usage }).toEqual({ text: direct.text, finish: direct.finish, usage: direct.usage });
  });

  it("stops computing when its call is aborted", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const read = async () => {
      for await (const _ of model.generate({ ...request, maxTokens: 400 }, controller.signal)) controller.abort(reason);
    };
    await expect(read()).rejects.toBe(reason);
    await untilIdle();
  });

  it("tells what the service refuses", async () => {
    await expect(complete(model, { ...request, temperature: -1 })).rejects.toMatchObject({
      code: "MODEL_FAILED",
      hint: expect.stringContaining("refuses a field"),
    });
  });
});
