// Stubs of services, written on 2026-11-30 from the published references: OpenAI's responses
// (developers.openai.com/api/reference/resources/responses, with its streaming events) and Ollama's chat
// (docs.ollama.com/api/chat). Neither is a recording, and neither service was called.
import type { ServerResponse } from "node:http";
import { beforeEach, describe, expect, it } from "@jest/globals";
import type { Delta, GenerateRequest, LanguageModel } from "@tessera/core";
import { complete } from "@tessera/core/internal";
import { stubService } from "@tessera/testkit";
import fc from "fast-check";
import { ollamaModel } from "./ollama.js";
import { responsesModel } from "./responses.js";

const seen: { url: string | undefined; body: Record<string, unknown> }[] = [];
let answer: (response: ServerResponse) => void;
const service = stubService((request, response, body) => {
  seen.push({ url: request.url, body: JSON.parse(body) });
  answer(response);
});
beforeEach(() => {
  seen.length = 0;
});

const request: GenerateRequest = {
  messages: [
    { role: "system", content: "Be brief." },
    { role: "user", content: "Hello" },
  ],
  maxTokens: 50,
  temperature: 0,
};

/** The stub of responses: events as the reference lists them, among others that a reader may leave alone. */
const events = (texts: readonly string[], end: { type: string }, thoughts: readonly string[] = []): string =>
  [
    { type: "response.created", response: { id: "r", object: "response", status: "in_progress", output: [] } },
    { type: "response.in_progress", response: { id: "r", object: "response", status: "in_progress", output: [] } },
    ...thoughts.map((delta) => ({
      type: "response.reasoning_summary_text.delta",
      item_id: "rs",
      summary_index: 0,
      delta,
    })),
    { type: "response.output_item.added", output_index: 0, item: { type: "message", role: "assistant", content: [] } },
    ...texts.map((delta) => ({
      type: "response.output_text.delta",
      item_id: "m",
      output_index: 0,
      content_index: 0,
      delta,
      logprobs: [],
    })),
    { type: "response.output_text.done", item_id: "m", text: texts.join("") },
    end,
  ]
    .map((event, sequence_number) => `event: ${event.type}\ndata: ${JSON.stringify({ ...event, sequence_number })}\n\n`)
    .join("");
const usage = { input_tokens: 7, output_tokens: 3, total_tokens: 10 };
const completed = { type: "response.completed", response: { id: "r", object: "response", status: "completed", usage } };
const incomplete = {
  type: "response.incomplete",
  response: { status: "incomplete", incomplete_details: { reason: "max_output_tokens" }, usage },
};

/** The stub of Ollama's chat: a line a piece, and one with the counts. */
const lines = (texts: readonly string[], end: object = {}, thoughts: readonly string[] = []): string =>
  [
    ...thoughts.map((thinking) => ({ message: { role: "assistant", content: "", thinking }, done: false })),
    ...texts.map((content) => ({ message: { role: "assistant", content }, done: false })),
    {
      message: { role: "assistant", content: "" },
      done: true,
      done_reason: "stop",
      total_duration: 5,
      prompt_eval_count: 7,
      eval_count: 3,
      ...end,
    },
  ]
    .map((line) => `${JSON.stringify({ model: "m", created_at: "2026-11-30T00:00:00Z", ...line })}\n`)
    .join("");

const forms: [string, () => LanguageModel, typeof lines][] = [
  [
    "responses",
    () => responsesModel({ baseUrl: `${service.origin}/v1`, model: "m", retries: 0 }),
    (texts, end, thoughts) => events(texts, end && "done_reason" in end ? incomplete : completed, thoughts),
  ],
  ["ollama", () => ollamaModel({ baseUrl: service.origin, model: "m", retries: 0 }), lines],
];

describe.each(forms)("%s", (name, open, says) => {
  it("gives text, thoughts, end and usage, however the bytes are cut", async () => {
    const model = open();
    const texts = ["Grüße ", "aus 東京", " 🚀."];
    const bytes = Buffer.from(says(texts, {}, ["Let me ", "think."]));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 6 }), async (cuts) => {
        answer = (response) => {
          let at = 0;
          for (const cut of [...cuts.sort((a, b) => a - b), bytes.length]) {
            response.write(bytes.subarray(at, cut));
            at = cut;
          }
          response.end();
        };
        expect(await complete(model, request)).toEqual({
          text: texts.join(""),
          tokens: [],
          finish: "stop",
          usage: { prompt: 7, completion: 3 },
          thoughts: ["Let me think."],
        });
      }),
      { numRuns: 20 },
    );
  });

  it("says that a limit cut the answer", async () => {
    answer = (response) => void response.end(says(["cut"], { done_reason: "length" }));
    expect(await complete(open(), request)).toMatchObject({ text: "cut", finish: "length" });
  });

  it("takes an answer that breaks off for an error, and no short answer", async () => {
    const whole = says(["one ", "two"], {});
    answer = (response) =>
      void response.end(whole.slice(0, whole.lastIndexOf('"done":true') - 200).replace(/\n[^\n]*$/, "\n"));
    await expect(complete(open(), request)).rejects.toMatchObject({ code: "MODEL_FAILED" });
    answer = (response) => void response.writeHead(500).end('{"error":"out of memory"}');
    await expect(complete(open(), request)).rejects.toMatchObject({
      message: expect.stringContaining("out of memory"),
    });
  });

  it("ends an answer at a stop string", async () => {
    answer = (response) =>
      void response.end(name === "ollama" ? lines(["one"]) : events(["one", " E", "ND two"], completed));
    const said = await complete(open(), { ...request, stop: [" END"] });
    expect(said).toMatchObject({ text: "one", finish: "stop" });
  });

  it("refuses what it is not known to offer", async () => {
    await expect(complete(open(), { ...request, logprobs: true })).rejects.toMatchObject({
      code: "MISSING_CAPABILITY",
    });
    await expect(complete(open(), { ...request, prefix: "a" })).rejects.toMatchObject({ code: "MISSING_CAPABILITY" });
  });
});

describe("the requests are as the references have them", () => {
  const schema = { type: "object", properties: { a: { type: "string" } } };
  it("responses", async () => {
    answer = (response) => void response.end(events(["a"], completed));
    const model = responsesModel({ baseUrl: `${service.origin}/v1`, model: "m", capabilities: ["json", "logprobs"] });
    await complete(model, { ...request, schema, logprobs: true, alternatives: 5, seed: 3, topP: 0.5 });
    expect(seen).toEqual([
      {
        url: "/v1/responses",
        body: {
          model: "m",
          input: request.messages,
          max_output_tokens: 50,
          temperature: 0,
          top_p: 0.5,
          text: { format: { type: "json_schema", name: "answer", schema, strict: true } },
          include: ["message.output_text.logprobs"],
          top_logprobs: 5,
          store: false,
          stream: true,
        },
      },
    ]);
  });

  it("ollama", async () => {
    answer = (response) => void response.end(lines(["a"]));
    await complete(ollamaModel({ baseUrl: service.origin, model: "m" }), { ...request, schema, seed: 3, stop: ["x"] });
    expect(seen).toEqual([
      {
        url: "/api/chat",
        body: {
          model: "m",
          messages: request.messages,
          options: { num_predict: 50, temperature: 0, seed: 3, stop: ["x"] },
          format: schema,
          stream: true,
        },
      },
    ]);
  });
});

describe("what only one of them has", () => {
  const deltas = async (model: LanguageModel, wanted = request): Promise<Delta[]> => {
    const all: Delta[] = [];
    for await (const delta of model.generate(wanted)) all.push(delta);
    return all;
  };

  it("responses: a whole answer where the service does not stream, refusals, log-probabilities, a failure in the middle", async () => {
    const model = responsesModel({
      baseUrl: `${service.origin}/v1`,
      model: "m",
      retries: 0,
      capabilities: ["logprobs"],
    });
    const output = [
      { type: "reasoning", summary: [{ type: "summary_text", text: "Hm." }] },
      { type: "message", content: [{ type: "output_text", text: "Yes.", annotations: [] }] },
    ];
    answer = (response) =>
      void response.end(JSON.stringify({ id: "r", object: "response", status: "completed", output, usage }));
    expect(await complete(model, request)).toMatchObject({ text: "Yes.", thoughts: ["Hm."], usage: { completion: 3 } });

    answer = (response) =>
      void response.end(
        [{ type: "response.refusal.delta", delta: "I can't." }, completed]
          .map((event) => `data: ${JSON.stringify(event)}\n\n`)
          .join(""),
      );
    expect((await complete(model, request)).text).toBe("I can't.");

    const logprobs = [{ token: "Yes", logprob: -0.1, top_logprobs: [{ token: "No", logprob: -2 }] }];
    answer = (response) =>
      void response.end(
        [{ type: "response.output_text.delta", delta: "Yes", logprobs }, completed]
          .map((event) => `data: ${JSON.stringify(event)}\n\n`)
          .join(""),
      );
    expect((await deltas(model, { ...request, logprobs: true }))[0]).toEqual({
      text: "Yes",
      tokens: [{ text: "Yes", logprob: -0.1, alternatives: [{ text: "No", logprob: -2 }] }],
    });

    for (const failure of [
      {
        type: "response.failed",
        response: { status: "failed", error: { code: "server_error", message: "overheated" } },
      },
      { type: "error", code: "x", message: "overheated" },
    ]) {
      answer = (response) => void response.end(events(["a"], failure));
      await expect(complete(model, request)).rejects.toMatchObject({ message: expect.stringContaining("overheated") });
    }
  });

  it("ollama: an error as a line of the stream", async () => {
    answer = (response) =>
      void response.end('{"message":{"content":"a"},"done":false}\n{"error":"model runner stopped"}\n');
    await expect(complete(ollamaModel({ baseUrl: service.origin, model: "m" }), request)).rejects.toMatchObject({
      code: "MODEL_FAILED",
      message: expect.stringContaining("runner stopped"),
    });
  });
});
