import type { IncomingMessage, ServerResponse } from "node:http";
import { beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import type { GenerateRequest } from "@tessera/core";
import { complete } from "@tessera/core/internal";
import { collected, stubService } from "@tessera/testkit";
import { openAiEncoder, openAiModel } from "./openai.js";

type Answer = (request: IncomingMessage, response: ServerResponse, body: Record<string, unknown>) => void;
const seen: { url: string | undefined; headers: IncomingMessage["headers"]; body: Record<string, unknown> }[] = [];
let answers: Answer[] = [];
let closed = 0;

const service = stubService((request, response, text) => {
  const body = JSON.parse(text) as Record<string, unknown>;
  seen.push({ url: request.url, headers: request.headers, body });
  response.on("close", () => closed++);
  (answers.length > 1 ? answers.shift()! : answers[0]!)(request, response, body);
});
let baseUrl: string;
beforeAll(() => {
  baseUrl = `${service.origin}/v1`;
});
beforeEach(() => {
  seen.length = 0;
  answers = [];
  closed = 0;
});

const event = (value: unknown) => `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`;
const text = (content: string) => ({ choices: [{ index: 0, delta: { content } }] });
const finish = (reason = "stop") => ({ choices: [{ index: 0, delta: {}, finish_reason: reason }] });
const used = { choices: [], usage: { prompt_tokens: 7, completion_tokens: 3 } };
const stream =
  (...events: unknown[]): Answer =>
  (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(events.map(event).join(""));
  };
const status =
  (code: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (_, response) => {
    response.writeHead(code, { "content-type": "application/json", ...headers });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };
const hello = stream(text("Hel"), text("lo"), finish(), used, "[DONE]");

const request: GenerateRequest = { messages: [{ role: "user", content: "Say hello." }], maxTokens: 20 };
const model = (more: object = {}) => openAiModel({ baseUrl, model: "tiny", backoffMs: 1, ...more });
describe("openAiModel", () => {
  it("streams an answer and its usage", async () => {
    answers = [hello];
    expect(await collected(model({ apiKey: "secret" }).generate(request))).toEqual([
      { text: "Hel" },
      { text: "lo" },
      { text: "", finish: "stop", usage: { prompt: 7, completion: 3 } },
    ]);
    expect(seen[0]).toMatchObject({
      url: "/v1/chat/completions",
      headers: { authorization: "Bearer secret" },
      body: { model: "tiny", messages: request.messages, max_tokens: 20, stream: true },
    });
  });

  it("sends what was asked for in OpenAI's fields, and nothing else", async () => {
    answers = [hello];
    const able = model({ capabilities: ["json", "seed", "logprobs"], tokensField: "max_completion_tokens" });
    const schema = { type: "object" };
    await complete(able, {
      ...request,
      stop: ["\n"],
      seed: 3,
      temperature: 0,
      schema,
      logprobs: true,
      alternatives: 2,
    });
    expect(seen[0]!.body).toEqual({
      model: "tiny",
      messages: request.messages,
      max_completion_tokens: 20,
      stop: ["\n"],
      seed: 3,
      temperature: 0,
      response_format: { type: "json_schema", json_schema: { name: "answer", schema, strict: true } },
      logprobs: true,
      top_logprobs: 2,
      stream: true,
      stream_options: { include_usage: true },
    });
    await complete(model(), { ...request, seed: 3 });
    expect(seen[1]!.body).not.toHaveProperty("seed");
  });

  it("gives the log-probabilities of tokens, with alternatives", async () => {
    const content = [{ token: "Hi", logprob: -0.5, top_logprobs: [{ token: "Ho", logprob: -1.5 }] }];
    answers = [stream({ choices: [{ delta: { content: "Hi" }, logprobs: { content } }] }, finish("length"))];
    const all = await collected(model({ capabilities: ["logprobs"] }).generate({ ...request, logprobs: true }));
    expect(all).toEqual([
      { text: "Hi", tokens: [{ text: "Hi", logprob: -0.5, alternatives: [{ text: "Ho", logprob: -1.5 }] }] },
      { text: "", finish: "length" },
    ]);
  });

  it("continues a prefix as vLLM does", async () => {
    answers = [hello];
    await complete(model({ capabilities: ["prefix"] }), { ...request, prefix: "{" });
    expect(seen[0]!.body).toMatchObject({
      messages: [...request.messages, { role: "assistant", content: "{" }],
      continue_final_message: true,
      add_generation_prompt: false,
    });
  });

  it("reads events however the bytes are cut, comments and multi-byte letters among them", async () => {
    answers = [
      (_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        const bytes = Buffer.from(`: ping\r\n\r\n${[text("né"), text("日本"), finish()].map(event).join("")}`);
        let at = 0;
        const write = () => {
          if (at >= bytes.length) return response.end();
          response.write(bytes.subarray(at, ++at));
          setImmediate(write);
        };
        write();
      },
    ];
    expect((await complete(model(), request)).text).toBe("né日本");
  });

  it("reads a whole answer where a service does not stream", async () => {
    answers = [status(200, { choices: [{ message: { content: "Hello" }, finish_reason: "stop" }], usage: used.usage })];
    expect(await complete(model(), request)).toMatchObject({ text: "Hello", usage: { prompt: 7, completion: 3 } });
  });

  it.each([429, 500, 503, 408])("asks again after %d", async (code) => {
    answers = [status(code, { error: { message: "later" } }), status(code, "x"), hello];
    expect((await complete(model(), request)).text).toBe("Hello");
    expect(seen).toHaveLength(3);
  });

  it("waits as long as the service asks it to", async () => {
    answers = [status(429, {}, { "retry-after-ms": "80" }), hello];
    const start = performance.now();
    await complete(model(), request);
    expect(performance.now() - start).toBeGreaterThanOrEqual(75);
  });

  it("asks again where the connection broke before the answer", async () => {
    answers = [(_, response) => void response.destroy(), hello];
    expect((await complete(model(), request)).text).toBe("Hello");
  });

  it("gives up after `retries`, with the service's reason", async () => {
    answers = [status(503, { error: { message: "overloaded" } })];
    await expect(complete(model({ retries: 1 }), request)).rejects.toMatchObject({
      code: "MODEL_FAILED",
      message: "the model answered 503: overloaded",
    });
    expect(seen).toHaveLength(2);
  });

  it.each([
    [400, { error: { message: "no such field" } }, "no such field"],
    [401, { error: "bad key" }, "bad key"],
    [404, { detail: "no model" }, "no model"],
    [422, "<html>no</html>", "<html>no</html>"],
  ])("does not ask again after %d, and says why", async (code, body, reason) => {
    answers = [status(code, body)];
    const failed = complete(model({ apiKey: "secret-key" }), request);
    await expect(failed).rejects.toMatchObject({ code: "MODEL_FAILED", message: expect.stringContaining(reason) });
    await failed.catch((error) => expect(JSON.stringify(error)).not.toContain("secret-key"));
    expect(seen).toHaveLength(1);
  });

  it("never asks again once the answer began: what broke off is an error", async () => {
    answers = [
      (_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(event(text("Hel")), () => response.destroy());
      },
    ];
    const all: string[] = [];
    const read = async () => {
      for await (const delta of model().generate(request)) all.push(delta.text);
    };
    await expect(read()).rejects.toMatchObject({ code: "MODEL_FAILED" });
    expect(all).toEqual(["Hel"]);
    expect(seen).toHaveLength(1);
  });

  it.each([
    ["an end without a finish", [text("Hel")]],
    ["an error in the stream", [text("Hel"), { error: { message: "out of memory" } }]],
    ["an event that is no JSON", [text("Hel"), "{"]],
    ["an event of another shape", [{ choices: 3 }]],
  ])("%s is MODEL_FAILED", async (_, events) => {
    answers = [stream(...events)];
    await expect(complete(model(), request)).rejects.toMatchObject({ code: "MODEL_FAILED" });
  });

  it("an abort ends it: before, while it waits to ask again, and in the answer; the connection is closed", async () => {
    const reason = new Error("enough");
    await expect(complete(model(), request, AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(seen).toHaveLength(0);

    answers = [status(503, {})];
    const waiting = new AbortController();
    setTimeout(() => waiting.abort(reason), 20);
    await expect(complete(model({ backoffMs: 60_000 }), request, waiting.signal)).rejects.toBe(reason);

    answers = [
      (_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(event(text("Hel")));
      },
    ];
    const reading = new AbortController();
    const before = closed;
    const read = async () => {
      for await (const _ of model().generate(request, reading.signal)) reading.abort(reason);
    };
    await expect(read()).rejects.toBe(reason);
    while (closed === before) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(closed).toBe(before + 1);
  });

  it("leaving early closes the connection", async () => {
    answers = [
      (_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(event(text("Hel")));
      },
    ];
    for await (const _ of model().generate(request)) break;
    while (closed === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(closed).toBe(1);
  });

  it("a silent service is MODEL_FAILED after `timeoutMs`", async () => {
    answers = [() => {}];
    await expect(complete(model({ timeoutMs: 50, retries: 0 }), request)).rejects.toMatchObject({
      code: "MODEL_FAILED",
      message: expect.stringContaining("silent for 50 ms"),
    });
  });

  it("a service that is not there is MODEL_FAILED with a hint", async () => {
    await expect(
      complete(openAiModel({ baseUrl: "http://127.0.0.1:1/v1", model: "m", retries: 1, backoffMs: 1 }), request),
    ).rejects.toMatchObject({ code: "MODEL_FAILED", hint: expect.stringContaining("http://127.0.0.1:1") });
    expect(() => openAiModel({ baseUrl: "localhost:80", model: "m" })).toThrow("not the URL of a service");
  });

  it("refuses what it is not known to offer", async () => {
    for (const more of [{ prefix: "{" }, { schema: {} }, { logprobs: true }])
      await expect(complete(model(), { ...request, ...more })).rejects.toMatchObject({ code: "MISSING_CAPABILITY" });
  });

  const refuses =
    (field: string, body: unknown, code = 400): Answer =>
    (request, response, sent) =>
      (field in sent ? status(code, body) : hello)(request, response, sent);
  const unsupported = (field: string, advice: string) => ({
    error: { message: `Unsupported parameter: '${field}' ${advice}`, param: field, code: "unsupported_parameter" },
  });

  it.each([
    ["OpenAI", "max_tokens", unsupported("max_tokens", "is not supported. Use 'max_completion_tokens' instead."), 400],
    ["a message alone", "max_tokens", { error: "please use max_completion_tokens" }, 400],
    [
      "FastAPI",
      "max_tokens",
      { detail: [{ loc: ["body", "max_tokens"], msg: "Extra inputs are not permitted" }] },
      422,
    ],
    [
      "a value that is not supported",
      "temperature",
      { error: { message: "'temperature' does not support 0 with this model. Only the default (1) is supported." } },
      400,
    ],
    ["an older service", "stream_options", { message: "Unrecognized request argument supplied: stream_options" }, 400],
    ["stop", "stop", unsupported("stop", "is not supported with this model."), 400],
  ])("learns once what a service does not take, and sends it no more: %s", async (_, field, body, code) => {
    answers = [refuses(field, body, code)];
    const learning = model();
    const whole = { ...request, temperature: 0, stop: ["\n"] };
    expect((await complete(learning, whole)).text).toBe("Hello");
    expect((await complete(learning, whole)).text).toBe("Hello");
    expect(seen.map(({ body }) => field in body)).toEqual([true, false, false]);
    const { [field]: _left, ...rest } = seen[0]!.body;
    expect(seen[1]!.body).toEqual(field === "max_tokens" ? { ...rest, max_completion_tokens: 20 } : rest);
  });

  it("learns several fields, one after the other, and from requests at the same time", async () => {
    answers = [
      (request, response, body) =>
        "max_tokens" in body
          ? status(400, unsupported("max_tokens", "is not supported"))(request, response, body)
          : refuses("temperature", unsupported("temperature", "is not supported"))(request, response, body),
    ];
    const learning = model({ retries: 0 });
    const all = await Promise.all([1, 2, 3].map(() => complete(learning, { ...request, temperature: 0 })));
    expect(all.map(({ text }) => text)).toEqual(["Hello", "Hello", "Hello"]);
    expect(seen.length).toBeLessThanOrEqual(9); // one may learn from another
    expect(seen.filter(({ body }) => !("temperature" in body || "max_tokens" in body))).toHaveLength(3);
  });

  it.each([
    [
      "a value out of range",
      { error: { message: "max_tokens is too large: 20; at most 10", param: "max_tokens" } },
      "",
    ],
    ["a range of temperature", { error: { message: "temperature must be at most 1", param: "temperature" } }, ""],
    ["a field that the answer depends on", unsupported("response_format", "is not supported with this model"), ""],
    ["both names of the length", unsupported("max_tokens", "is not supported"), "max_completion_tokens"],
  ])("is an error: %s", async (_, body, alsoRefused) => {
    answers = [
      (request, response, sent) =>
        (alsoRefused !== "" && alsoRefused in sent
          ? status(400, unsupported(alsoRefused, "is not supported"))
          : status(400, body))(request, response, sent),
    ];
    const asked = { ...request, temperature: 0, schema: { type: "object" } };
    await expect(complete(model({ capabilities: ["json"] }), asked)).rejects.toMatchObject({ code: "MODEL_FAILED" });
    expect(seen).toHaveLength(alsoRefused ? 2 : 1);
  });

  it("never changes what the caller set by `parameters`, and leaves out what `omit` names", async () => {
    answers = [status(400, unsupported("temperature", "is not supported"))];
    const own = model({ parameters: { temperature: 0.3 } });
    await expect(complete(own, { ...request, temperature: 0 })).rejects.toMatchObject({ code: "MODEL_FAILED" });
    expect(seen).toHaveLength(1);
    answers = [hello];
    await complete(model({ omit: ["temperature", "stream_options"] }), { ...request, temperature: 0 });
    expect(Object.keys(seen[1]!.body).sort()).toEqual(["max_tokens", "messages", "model", "stream"]);
  });

  it.each([
    ["an end by [DONE] without a finish", stream(text("Hel"), text("lo"), "[DONE]")],
    ["content in parts", stream({ choices: [{ delta: { content: [{ type: "text", text: "Hello" }] } }] }, finish())],
    [
      "JSON under text/plain",
      status(200, { choices: [{ message: { content: "Hello" } }] }, { "content-type": "text/plain" }),
    ],
    [
      "a stream under application/json",
      ((_, response) => {
        response.writeHead(200, { "content-type": "application/json" });
        response.end([text("Hello"), finish(), "[DONE]"].map(event).join(""));
      }) as Answer,
    ],
  ])("reads %s", async (_, answer) => {
    answers = [answer];
    expect(await complete(model(), request)).toMatchObject({ text: "Hello", finish: "stop" });
  });

  it("takes a usage of -1 for none", async () => {
    const usage = { prompt_tokens: -1, completion_tokens: -1 };
    answers = [stream(text("Hello"), finish(), { choices: [], usage })];
    expect((await complete(model(), request)).usage).toBeUndefined();
  });

  it.each(["reasoning_content", "reasoning"])("keeps thoughts in `%s` apart from the answer", async (field) => {
    answers = [
      stream(
        { choices: [{ delta: { [field]: "Hm, " } }] },
        { choices: [{ delta: { [field]: "so." } }] },
        text("Hello"),
        finish(),
      ),
    ];
    expect(await complete(model(), request)).toMatchObject({ text: "Hello", thoughts: ["Hm, so."] });
  });

  it("after close, running and new calls fail with CLOSED", async () => {
    answers = [() => {}];
    const closing = model();
    const running = complete(closing, request);
    setTimeout(() => void closing.close?.(), 20);
    await expect(running).rejects.toMatchObject({ code: "CLOSED" });
    await expect(complete(closing, request)).rejects.toMatchObject({ code: "CLOSED" });
  });
});

describe("openAiEncoder", () => {
  const embed: Answer = (_, response, body) => {
    const input = body.input as string[];
    const data = input.map((member, index) => ({ index, embedding: [member.length, 0, 2] })).reverse();
    status(200, { data })(_, response, body);
  };
  const encoder = (more: object = {}) => openAiEncoder({ baseUrl, model: "small", backoffMs: 1, ...more });

  it("gives unit vectors in the order of the texts, in batches", async () => {
    answers = [embed];
    const vectors = await encoder({ batch: 2 }).encode(["a", "bb", "ccc"], { kind: "text" });
    expect(seen.map(({ body }) => body.input)).toEqual([["a", "bb"], ["ccc"]]);
    for (const [index, vector] of vectors.entries()) {
      expect(Math.hypot(...vector)).toBeCloseTo(1, 6);
      expect(vector[0]! / vector[2]!).toBeCloseTo((index + 1) / 2, 6);
    }
    expect(await encoder().encode([], { kind: "text" })).toEqual([]);
  });

  it("puts the model's prefixes before the texts, and asks for widths where it may", async () => {
    answers = [(_, response, body) => status(200, { data: [{ index: 0, embedding: [1, 1] }] })(_, response, body)];
    const shortening = encoder({ shortens: true, prefixes: { query: "query: " } });
    await shortening.encode(["q"], { kind: "query", width: 2 });
    expect(seen[0]!.body).toMatchObject({ input: ["query: q"], dimensions: 2 });
    expect(shortening.space({ width: 2 })).not.toBe(shortening.space({}));
    await expect(encoder().encode(["q"], { kind: "query", width: 2 })).rejects.toMatchObject({
      code: "MISSING_CAPABILITY",
    });
  });

  it.each([
    ["too few vectors", { data: [{ index: 0, embedding: [1] }] }],
    [
      "unequal widths",
      {
        data: [
          { index: 0, embedding: [1] },
          { index: 1, embedding: [1, 2] },
        ],
      },
    ],
    [
      "the same index twice",
      {
        data: [
          { index: 0, embedding: [1] },
          { index: 0, embedding: [1] },
        ],
      },
    ],
    ["another shape", { vectors: [] }],
  ])("%s is MODEL_FAILED", async (_, body) => {
    answers = [status(200, body)];
    await expect(encoder().encode(["a", "b"], { kind: "text" })).rejects.toMatchObject({ code: "MODEL_FAILED" });
  });

  it("asks again after 429, and ends with an abort", async () => {
    answers = [status(429, {}), embed];
    expect(await encoder().encode(["a"], { kind: "text" })).toHaveLength(1);
    answers = [() => {}];
    const controller = new AbortController();
    const reason = new Error("enough");
    setTimeout(() => controller.abort(reason), 20);
    await expect(encoder().encode(["a"], { kind: "text" }, controller.signal)).rejects.toBe(reason);
  });
});
