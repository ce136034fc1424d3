import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { ChatOpenAI, OpenAIEmbeddings, OpenAI as OpenAiCompletions } from "@langchain/openai";
import { type Delta, type Encoder, type GenerateRequest, type LanguageModel, TesseraError } from "@tessera/core";
import { scriptedEncoder, scriptedModel } from "@tessera/testkit";
import Fastify, { type FastifyInstance } from "fastify";
import OpenAI from "openai";
import { encoderReranker } from "./rerank.js";
import { type OpenAiServices, openaiRoutes } from "./routes.js";

const all = ["logprobs", "prefix", "json", "seed"] as const;

const poet = scriptedModel((request) => (request.schema ? '{"name":"Ada"}' : "roses are red indeed"), {
  capabilities: all,
  alternatives: (token) => [
    { text: token, logprob: -0.1 },
    { text: " x", logprob: -2 },
  ],
});

/** A model that speaks until it is stopped, and remembers that it was. */
class Endless implements LanguageModel {
  readonly revision = "endless-1";
  readonly capabilities = new Set(all);
  running = 0;
  ended = 0;
  async *generate(_: GenerateRequest, signal?: AbortSignal): AsyncIterable<Delta> {
    this.running += 1;
    try {
      for (;;) {
        signal?.throwIfAborted();
        yield { text: "again ".repeat(50) };
        await sleep(1);
      }
    } finally {
      this.running -= 1;
      this.ended += 1;
    }
  }
}

const failing = (when: "first" | "later", error: unknown): LanguageModel => ({
  revision: "failing-1",
  capabilities: new Set(),
  async *generate() {
    if (when === "later") yield { text: "well" };
    throw error;
  },
});

const encoder: Encoder = {
  ...scriptedEncoder(16),
  async encode(texts, how, signal) {
    if (how.exit !== undefined && how.exit !== 2)
      throw new TesseraError("BAD_ARGUMENT", `"words" has no exit at layer ${how.exit}`, { hint: "exits: 2" });
    return scriptedEncoder(16).encode(texts, how, signal);
  },
};

let app: FastifyInstance;
let baseURL: string;
let client: OpenAI;
let endless: Endless;
const busy = new TesseraError("OVERLOADED", "256 requests wait already", { retryAfterMs: 2500 });

async function start(services: Partial<OpenAiServices> = {}, requestTimeout = 30_000): Promise<void> {
  endless = new Endless();
  app = Fastify({
    requestTimeout,
    http: { headersTimeout: requestTimeout, connectionsCheckingInterval: 100 },
    forceCloseConnections: true,
  });
  await app.register(openaiRoutes, {
    encoders: { words: encoder },
    languageModels: {
      poet,
      endless,
      plain: scriptedModel(() => "yes"),
      busy: failing("first", busy),
      broken: failing("later", new TesseraError("MODEL_FAILED", "device lost")),
    },
    rerankers: { words: encoderReranker(encoder) },
    ...services,
  });
  baseURL = `${await app.listen({ port: 0, host: "127.0.0.1" })}/v1`;
  client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
}

beforeEach(() => start());
afterEach(() => app.close());

const chat = { model: "poet", messages: [{ role: "user" as const, content: "a poem" }] };

describe("OpenAI's client", () => {
  it("lists the models, and finds one", async () => {
    const names = [];
    for await (const { id } of client.models.list()) names.push(id);
    expect(names.sort()).toEqual(["broken", "busy", "endless", "plain", "poet", "words"]);
    expect(await client.models.retrieve("poet")).toMatchObject({ id: "poet", object: "model", owned_by: "tessera" });
    await expect(client.models.retrieve("none")).rejects.toMatchObject({ status: 404, code: "model_not_found" });
  });

  it("gets an answer whole", async () => {
    const answer = await client.chat.completions.create({
      ...chat,
      messages: [
        { role: "developer", content: "be brief" },
        { role: "user", content: [{ type: "text", text: "a poem" }] },
      ],
      max_completion_tokens: 3,
      seed: 7,
      stop: "indeed",
      temperature: 0.5,
      top_p: 0.9,
    });
    expect(answer.choices).toEqual([
      {
        index: 0,
        message: { role: "assistant", content: "roses are red", refusal: null },
        logprobs: null,
        finish_reason: "length",
      },
    ]);
    expect(answer.usage).toEqual({ prompt_tokens: 4, completion_tokens: 3, total_tokens: 7 });
    expect(poet.requests.at(-1)).toEqual({
      messages: [
        { role: "system", content: "be brief" },
        { role: "user", content: "a poem" },
      ],
      maxTokens: 3,
      stop: ["indeed"],
      seed: 7,
      temperature: 0.5,
      topP: 0.9,
    });
  });

  it("gets the same answer as a stream, with usage and log-probabilities", async () => {
    const stream = await client.chat.completions.create({
      ...chat,
      stream: true,
      stream_options: { include_usage: true },
      logprobs: true,
      top_logprobs: 2,
    });
    let text = "";
    let tokens = 0;
    const finishes = [];
    let usage: unknown;
    for await (const piece of stream) {
      const [choice] = piece.choices;
      text += choice?.delta.content ?? "";
      for (const token of choice?.logprobs?.content ?? []) {
        tokens += 1;
        expect(token.top_logprobs).toHaveLength(2);
        expect(Buffer.from(token.bytes!).toString()).toBe(token.token);
      }
      if (choice?.finish_reason) finishes.push(choice.finish_reason);
      usage = piece.usage ?? usage;
    }
    expect(text).toBe("roses are red indeed");
    expect(tokens).toBe(4);
    expect(finishes).toEqual(["stop"]);
    expect(usage).toMatchObject({ completion_tokens: 4 });
  });

  it("is told an estimate of the tokens where the model reports none, whole and as a stream", async () => {
    const silent: LanguageModel = {
      revision: "1",
      capabilities: new Set(),
      async *generate() {
        yield { text: "roses " };
        yield { text: "are red" };
      },
    };
    await app.close();
    await start({ languageModels: { silent } });
    const asked = { model: "silent", messages: [{ role: "user" as const, content: "a poem" }] };
    const usage = { prompt_tokens: 2, completion_tokens: 3, total_tokens: 5 };
    expect((await client.chat.completions.create(asked)).usage).toEqual(usage);
    const last: unknown[] = [];
    for await (const piece of await client.chat.completions.create({
      ...asked,
      stream: true,
      stream_options: { include_usage: true },
    }))
      if (piece.usage) last.push(piece.usage);
    expect(last).toEqual([usage]);
  });

  it("gets JSON by a schema, and a refusal from a model without it", async () => {
    const response_format = {
      type: "json_schema" as const,
      json_schema: { name: "person", schema: { type: "object", required: ["name"] } },
    };
    const answer = await client.chat.completions.create({ ...chat, response_format });
    expect(JSON.parse(answer.choices[0]!.message.content!)).toEqual({ name: "Ada" });
    expect(poet.requests.at(-1)!.schema).toEqual({ type: "object", required: ["name"] });
    await expect(client.chat.completions.create({ ...chat, model: "plain", response_format })).rejects.toMatchObject({
      status: 400,
      param: "response_format",
    });
  });

  it("gets a text continued, whole and as a stream", async () => {
    const whole = await client.completions.create({ model: "poet", prompt: "a poem:", max_tokens: 2, logprobs: 2 });
    expect(whole.choices[0]).toMatchObject({ text: "roses are", finish_reason: "length" });
    expect(whole.choices[0]!.logprobs).toEqual({
      tokens: ["roses", " are"],
      token_logprobs: [-0.1, -0.1],
      top_logprobs: [
        { roses: -0.1, " x": -2 },
        { " are": -0.1, " x": -2 },
      ],
      text_offset: [0, 5],
    });
    expect(poet.requests.at(-1)).toMatchObject({ messages: [], prefix: "a poem:" });
    let text = "";
    for await (const piece of await client.completions.create({ model: "poet", prompt: "x", stream: true }))
      text += piece.choices[0]?.text ?? "";
    expect(text).toBe("roses are red indeed");
  });

  it("gets vectors as numbers, as base64, and raw", async () => {
    const input = ["sort a list", "open a file", "sort a list"];
    const expected = await encoder.encode(input, { kind: "text", width: 8 });
    for (const encoding_format of ["float", "base64", undefined] as const) {
      const { data } = await client.embeddings.create({
        model: "words",
        input,
        dimensions: 8,
        ...(encoding_format && { encoding_format }),
      });
      expect(data.map(({ index }) => index)).toEqual([0, 1, 2]);
      for (const [i, { embedding }] of data.entries()) {
        const values =
          typeof embedding === "string"
            ? new Float32Array(Uint8Array.from(Buffer.from(embedding as string, "base64")).buffer)
            : embedding;
        expect([...values].map(Math.fround)).toEqual([...expected[i]!]);
      }
    }
    const raw = await fetch(`${baseURL}/embeddings`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/octet-stream" },
      body: JSON.stringify({ model: "words", input, dimensions: 8, exit: 2 }),
    });
    expect(raw.headers.get("x-tessera-shape")).toBe("3,8");
    expect([...new Float32Array(await raw.arrayBuffer())]).toEqual(expected.flatMap((vector) => [...vector]));
  });

  it("is told when to come again", async () => {
    const refused = await client.chat.completions.create({ ...chat, model: "busy" }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(OpenAI.RateLimitError);
    expect((refused as InstanceType<typeof OpenAI.RateLimitError>).headers?.get("retry-after")).toBe("3");
    const stream = client.chat.completions.create({ ...chat, model: "busy", stream: true });
    await expect(stream).rejects.toMatchObject({ status: 429 });
  });

  it("is told in the stream of a failure in the middle", async () => {
    const stream = await client.chat.completions.create({ ...chat, model: "broken", stream: true });
    let text = "";
    const read = async (): Promise<void> => {
      for await (const piece of stream) text += piece.choices[0]?.delta.content ?? "";
    };
    await expect(read()).rejects.toMatchObject({ message: expect.stringContaining("could not answer") });
    expect(text).toBe("well");
    await expect(client.chat.completions.create({ ...chat, model: "broken" })).rejects.toMatchObject({ status: 502 });
  });

  it("may leave a stream, and the model stops", async () => {
    const stream = await client.chat.completions.create({ ...chat, model: "endless", stream: true });
    for await (const _ of stream) break;
    stream.controller.abort();
    for (let i = 0; i < 200 && endless.running > 0; i++) await sleep(10);
    expect(endless).toMatchObject({ running: 0, ended: 1 });
  });
});

describe("LangChain's classes", () => {
  const configuration = () => ({ configuration: { baseURL }, apiKey: "none", maxRetries: 0 });

  it("chat, whole and as a stream, with JSON by a schema", async () => {
    const model = new ChatOpenAI({ ...configuration(), model: "poet" });
    const answer = await model.invoke([new SystemMessage("be brief"), new HumanMessage("a poem")]);
    expect(answer.content).toBe("roses are red indeed");
    expect(answer.usage_metadata).toMatchObject({ output_tokens: 4 });
    let text = "";
    for await (const part of await model.stream("a poem")) text += part.content as string;
    expect(text).toBe("roses are red indeed");
    const structured = model.withStructuredOutput(
      { title: "person", type: "object", properties: { name: { type: "string" } }, required: ["name"] },
      { method: "jsonSchema" },
    );
    expect(await structured.invoke("who?")).toEqual({ name: "Ada" });
  });

  it("continue a text, and embed", async () => {
    const model = new OpenAiCompletions({ ...configuration(), model: "poet", maxTokens: 4 });
    expect(await model.invoke("a poem:")).toBe("roses are red indeed");
    const embeddings = new OpenAIEmbeddings({ ...configuration(), model: "words" });
    const [expected] = await encoder.encode(["sort a list"], { kind: "text" });
    const [vector] = await embeddings.embedDocuments(["sort a list"]);
    expect(vector!.map(Math.fround)).toEqual([...expected!]);
  });
});

const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${baseURL}/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

describe("rerank", () => {
  it("sorts documents as Jina's service does", async () => {
    const documents = ["open a file", { text: "sort a list of numbers" }, "close the door"];
    const response = await post("rerank", {
      model: "words",
      query: "sort a list",
      documents,
      top_n: 2,
      return_documents: true,
    });
    const { results } = (await response.json()) as {
      results: { index: number; relevance_score: number; document: object }[];
    };
    expect(results).toHaveLength(2);
    expect(results[0]).toMatchObject({ index: 1, document: { text: "sort a list of numbers" } });
    expect(results[0]!.relevance_score).toBeGreaterThan(results[1]!.relevance_score);
  });
});

describe("what agents send", () => {
  const call = { id: "call_1", type: "function" as const, function: { name: "search", arguments: '{"q":"x"}' } };
  const agent = (...messages: object[]) =>
    post("chat/completions", { ...chat, messages: [...chat.messages, ...messages] });
  const seen = () => poet.requests.at(-1)!.messages.slice(1);

  it("a history with calls of tools, their results and empty contents is read, and the model sees all of it", async () => {
    const history: OpenAI.ChatCompletionMessageParam[] = [
      {
        role: "developer",
        content: [
          { type: "text", text: "be " },
          { type: "text", text: "brief" },
        ],
      },
      { role: "assistant", content: null, refusal: null, tool_calls: [call] },
      { role: "tool", tool_call_id: "call_1", content: [{ type: "text", text: "found y" }] },
      {
        role: "assistant",
        content: [
          { type: "text", text: "y " },
          { type: "refusal", refusal: "but no z" },
        ],
      },
      { role: "user", content: "and now?", name: "ann" },
      { role: "assistant", content: null, function_call: { name: "look", arguments: "" } },
      { role: "function", name: "look", content: "nothing" },
      { role: "assistant", refusal: "I cannot" },
    ];
    const messages = [...chat.messages, ...history, ...chat.messages];
    const answer = await client.chat.completions.create({ ...chat, messages });
    expect(answer.choices[0]!.message.content).toBe("roses are red indeed");
    expect(seen()).toEqual([
      { role: "system", content: "be brief" },
      { role: "assistant", content: '[called search with {"q":"x"}]' },
      { role: "user", content: "[search returned]\nfound y" },
      { role: "assistant", content: "y but no z" },
      { role: "user", content: "ann: and now?" },
      { role: "assistant", content: "[called look with nothing]" },
      { role: "user", content: "[look returned]\nnothing" },
      { role: "assistant", content: "I cannot" },
      { role: "user", content: "a poem" },
    ]);
  });

  it("an answer of this service goes back as it came, with all that other services put beside it", async () => {
    const { message } = (await client.chat.completions.create(chat)).choices[0]!;
    for (const more of [
      {},
      { annotations: [], audio: null, refusal: null, tool_calls: null, function_call: null, reasoning_content: "hm" },
      { content: null },
      { content: null, audio: { id: "audio_1" } },
      {
        content: undefined,
        tool_calls: [{ ...call, type: "custom", function: undefined, custom: { name: "c", input: "i" } }],
      },
      { content: [], tool_calls: [] },
    ])
      expect([more, (await agent({ ...message, ...more }, ...chat.messages)).status]).toEqual([more, 200]);
  });

  it("fields that ask for nothing else than what is given are taken", async () => {
    const fields = {
      n: 1,
      frequency_penalty: 0,
      presence_penalty: null,
      logit_bias: {},
      tools: [],
      tool_choice: "auto",
      parallel_tool_calls: true,
      response_format: { type: "text" },
      modalities: ["text"],
      store: false,
      user: "u",
      metadata: { a: "b" },
      service_tier: "auto",
      stream: false,
      stream_options: null,
      stop: null,
      top_p: 1,
    };
    expect((await post("chat/completions", { ...chat, ...fields })).status).toBe(200);
    // tools that must not be called
    const tools = [{ type: "function", function: { name: "search" } }];
    expect((await post("chat/completions", { ...chat, tools, tool_choice: "none" })).status).toBe(200);
  });
});

describe("bad input", () => {
  it("is refused in OpenAI's shape, and names the field", async () => {
    const cases: [path: string, body: unknown, status: number, param: string | null][] = [
      ["chat/completions", "{", 400, null],
      ["chat/completions", "null", 400, "model"],
      ["chat/completions", { ...chat, model: "none" }, 404, "model"],
      ["chat/completions", { ...chat, model: "__proto__" }, 404, "model"],
      ["chat/completions", { ...chat, messages: [] }, 400, "messages"],
      ["chat/completions", { ...chat, messages: [{ role: "robot", content: "x" }] }, 400, "messages.0.role"],
      ["chat/completions", { ...chat, messages: [{ role: "user", content: null }] }, 400, "messages.0.content"],
      ["chat/completions", { ...chat, messages: [{ role: "user" }] }, 400, "messages.0.content"],
      ["chat/completions", { ...chat, messages: [{ role: "tool", content: 3 }] }, 400, "messages.0.content"],
      ["chat/completions", { ...chat, top_k: 5 }, 400, "top_k"],
      ["chat/completions", { ...chat, tool_choice: "required" }, 400, "tool_choice"],
      ["chat/completions", { ...chat, frequency_penalty: 1 }, 400, "frequency_penalty"],
      ["chat/completions", { ...chat, reasoning_effort: "high" }, 400, "reasoning_effort"],
      ["chat/completions", { ...chat, modalities: ["audio"] }, 400, "modalities.0"],
      ["chat/completions", { ...chat, store: true }, 400, "store"],
      ["chat/completions", { ...chat, stream: true, stream_options: { usage: true } }, 400, "stream_options.usage"],
      ["chat/completions", { ...chat, model: "plain", seed: 1 }, 400, "seed"],
      ["chat/completions", { ...chat, functions: [{ name: "f" }] }, 400, "functions"],
      ["completions", { model: "poet", prompt: "a", top_k: 5 }, 400, "top_k"],
      [
        "chat/completions",
        { ...chat, messages: [{ role: "user", content: [{ type: "image_url" }] }] },
        400,
        "messages.0.content.0",
      ],
      ["chat/completions", { ...chat, n: 2 }, 400, "n"],
      ["chat/completions", { ...chat, max_tokens: 1e6 }, 400, "max_tokens"],
      ["chat/completions", { ...chat, temperature: "hot" }, 400, "temperature"],
      ["chat/completions", { ...chat, tools: [{ type: "function" }] }, 400, "tools"],
      ["chat/completions", { ...chat, top_logprobs: 2 }, 400, "top_logprobs"],
      ["chat/completions", { ...chat, model: "plain", logprobs: true }, 400, "logprobs"],
      ["completions", { model: "poet", prompt: ["a", "b"] }, 400, "prompt"],
      ["completions", { model: "plain", prompt: "a" }, 400, "model"],
      ["completions", { model: "poet", prompt: "a", best_of: 3 }, 400, "best_of"],
      ["embeddings", { model: "words", input: "" }, 400, "input"],
      ["embeddings", { model: "words", input: [1, 2, 3] }, 400, "input"],
      ["embeddings", { model: "words", input: [[1, 2], [3]] }, 400, "input"],
      ["embeddings", { model: "words", input: Array.from({ length: 10_000 }, () => "x") }, 400, "input"],
      ["embeddings", { model: "words", input: "x", exit: 3 }, 400, "exit"],
      ["embeddings", { model: "poet", input: "x" }, 404, "model"],
      ["rerank", { model: "words", query: "x", documents: [1] }, 400, "documents.0"],
      ["rerank", { model: "words", query: "x", documents: Array.from({ length: 3000 }, () => "x") }, 400, "documents"],
      ["nothing", {}, 404, null],
    ];
    for (const [path, body, status, param] of cases) {
      const response = await post(path, body);
      const { error } = (await response.json()) as { error: Record<string, unknown> };
      expect({ path, body, status: response.status, param: error.param }).toEqual({ path, body, status, param });
      expect(error).toMatchObject({
        type: "invalid_request_error",
        message: expect.any(String),
        code: expect.any(String),
      });
    }
    expect((await post("embeddings", "x", { "content-type": "text/plain" })).status).toBe(415);
  });

  it("of ten megabytes is refused before it is read, and costs others nothing", async () => {
    const huge = { ...chat, messages: [{ role: "user", content: "x".repeat(10 * 1024 * 1024) }] };
    const refused = post("chat/completions", huge)
      .then(({ status }) => status)
      .catch(() => 413); // the connection may be closed while the rest is sent
    const [status, others] = await Promise.all([refused, client.chat.completions.create(chat)]);
    expect(status).toBe(413);
    expect(others.choices[0]!.message.content).toBe("roses are red indeed");
  });
});

describe("a hostile client", () => {
  const head = (length: number): string =>
    `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;

  it("who sends his body slowly is cut off, and a hundred of him hold up nobody", async () => {
    await app.close();
    await start({}, 400);
    const { port } = app.server.address() as AddressInfo;
    const slow = Array.from({ length: 100 }, () => {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => {});
      socket.write(`${head(1000)}{`);
      socket.resume();
      return once(socket, "close");
    });
    const answer = await client.chat.completions.create(chat);
    expect(answer.choices[0]!.message.content).toBe("roses are red indeed");
    await Promise.all(slow);
  });

  it("who goes in the middle of a stream frees the model, though he never read", async () => {
    const { port } = app.server.address() as AddressInfo;
    const body = JSON.stringify({ ...chat, model: "endless", stream: true });
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.pause();
    socket.write(head(Buffer.byteLength(body)) + body);
    for (let i = 0; i < 200 && endless.running === 0; i++) await sleep(10);
    expect(endless.running).toBe(1);
    socket.destroy();
    for (let i = 0; i < 300 && endless.running > 0; i++) await sleep(10);
    expect(endless).toMatchObject({ running: 0, ended: 1 });
  });
});

describe("what the server gives", () => {
  it("flows as models, for those who may see them, and each caller on his own account", async () => {
    await app.close();
    const seen: string[] = [];
    const shared = {
      ...poet,
      as(caller: string) {
        seen.push(caller);
        return poet;
      },
    };
    await start({
      languageModels: { poet: shared },
      callerOf: ({ headers }) => ({ key: String(headers.authorization) }),
      extraModels: {
        list: ({ key }) => (key === "Bearer none" ? [{ name: "flow/ask", ownedBy: "flows" }] : []),
        open: (name) =>
          name === "flow/ask"
            ? {
                ownedBy: "flows",
                revision: "1",
                capabilities: new Set(),
                async *answer({ messages }, { key }) {
                  yield { text: `${key}: ${messages[0]!.content}`, finish: "stop" };
                },
              }
            : undefined,
      },
    });
    const { data } = await client.models.list();
    expect(data.map(({ id }) => id)).toContain("flow/ask");
    expect((await client.models.retrieve("flow/ask")).owned_by).toBe("flows");
    const answer = await client.chat.completions.create({ ...chat, model: "flow/ask" });
    expect(answer.choices[0]!.message.content).toBe("Bearer none: a poem");
    await client.chat.completions.create(chat);
    expect(seen).toEqual(["Bearer none"]);
  });

  it("metrics for Prometheus", async () => {
    await client.embeddings.create({ model: "words", input: "x" });
    const response = await fetch(baseURL.replace("/v1", "/metrics"));
    expect(response.headers.get("content-type")).toContain("text/plain");
    const text = await response.text();
    expect(text).toContain('tessera_model_request_seconds_count{route="/v1/embeddings",status="200"} 1');
  });
});
