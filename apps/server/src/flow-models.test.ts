import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { type FlowDocument, first, flow, type LanguageModel, use, value } from "@tessera/core";
import { answer, structured } from "@tessera/generator";
import { sparse } from "@tessera/retriever";
import { scriptedModel } from "@tessera/testkit";
import OpenAI from "openai";
import { freshFolder, removeFolder, startService } from "./service.fixture.js";

const folder = freshFolder();
const said = "Bananas are yellow [1]. They grow in the sun [1].";
const writer = scriptedModel(() => said, { capabilities: ["seed"] });
const rewriter = scriptedModel(() => "bananas color");
let service: Awaited<ReturnType<typeof startService>>;
let client: OpenAI;
let headers: Record<string, string>;

const ask: FlowDocument = flow("ask", { query: "text" }, (f, { query }) => {
  const better = f.node("better", use("query.rewrite", { model: "rewriter" }), { query });
  const { hits } = f.node("search", sparse({ store: "docs.sparse", top: 5 }), { query: better.query! });
  const { text } = f.node("answer", answer({ model: "writer", maxTokens: 200 }), { query, hits });
  return { text };
}).document;
const cited: FlowDocument = flow("cited", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("search", sparse({ store: "docs.sparse", top: 5 }), { query });
  const written = f.node("answer", answer({ model: "writer" }), { query, hits });
  return { text: written.text, answer: written.answer };
}).document;
const filled: string[] = [];
const filler = scriptedModel(() => filled.shift() ?? "nothing");
const fill: FlowDocument = flow(
  "fill",
  { query: "text", schema: { optional: { type: "object" } } },
  (f, { query, schema }) => {
    const { hits } = f.node("search", sparse({ store: "docs.sparse", top: 5 }), { query });
    const { text, answer } = f.node("answer", structured({ model: "filler" }), {
      query,
      hits,
      schema: schema as never,
    });
    return { text, answer };
  },
).document;
const say: FlowDocument = flow("say", { query: "text", history: { optional: "text" } }, (f, { query, history }) => ({
  text: f.node("join", use("text.template", { template: "{history}\n> {query}" }), {
    history: first(history, value("nothing")),
    query,
  }).text!,
})).document;

beforeAll(async () => {
  service = await startService(folder, { resources: { model: { writer: writer as LanguageModel, rewriter, filler } } });
  const url = await service.server.listen({ port: 0, host: "127.0.0.1" });
  const made = await service.key({ scopes: ["run", "flows", "indexes"], principal: { id: "ann" } });
  headers = made.headers;
  client = new OpenAI({ apiKey: made.token, baseURL: `${url}/v1`, maxRetries: 0 });
  const call = async (method: "PUT" | "POST", path: string, payload?: object) => {
    const response = await service.server.inject({ method, url: path, headers, ...(payload && { payload }) });
    expect([response.statusCode < 300, response.body]).toEqual([true, response.body]);
  };
  await call("PUT", "/indexes/docs");
  await call("POST", "/indexes/docs/passages", {
    passages: [{ id: "a", text: "Bananas are yellow, and grow in the sun." }],
  });
  await call("PUT", "/flows/ask", ask);
  await call("PUT", "/flows/say", say);
  await call("PUT", "/flows/cited", cited);
  await call("PUT", "/flows/fill", fill);
});
beforeEach(() => {
  writer.requests.length = 0;
  rewriter.requests.length = 0;
});
afterAll(async () => {
  await service.server.close();
  removeFolder(folder);
});

const messages = [{ role: "user" as const, content: "What color are bananas?" }];
type More = Partial<OpenAI.ChatCompletionCreateParamsNonStreaming>;

/** The same question whole and as a stream: text, how it ended, and usage. */
async function both(model: string, more: More = {}, asked = messages) {
  const { choices, usage } = await client.chat.completions.create({ model, messages: asked, ...more });
  const whole = { text: choices[0]!.message.content, finish: choices[0]!.finish_reason, usage };
  let text = "";
  let finish: string | null | undefined;
  let streamed: OpenAI.CompletionUsage | null | undefined;
  for await (const piece of await client.chat.completions.create({
    model,
    messages: asked,
    ...more,
    stream: true,
    stream_options: { include_usage: true },
  })) {
    text += piece.choices[0]?.delta.content ?? "";
    finish = piece.choices[0]?.finish_reason ?? finish;
    streamed = piece.usage ?? streamed;
  }
  expect({ text, finish, usage: streamed }).toEqual(whole);
  return whole;
}

/** What the models were asked and said, by their own count. */
function counted() {
  const words = (text: string) => text.split(/\s+/).length;
  const prompt = [writer, rewriter]
    .flatMap(({ requests }) => requests.slice(0, requests.length / 2))
    .reduce((sum, { messages: sent }) => sum + sent.reduce((all, { content }) => all + words(content), 0), 0);
  return { prompt };
}

describe("a flow as a model", () => {
  it("says how many tokens its models read and wrote, and that it ended by itself", async () => {
    const { text, finish, usage } = await both("ask");
    expect([text, finish]).toEqual([said, "stop"]);
    const { prompt } = counted();
    const completion = "bananas color".split(" ").length + said.split(" ").length;
    expect(usage).toEqual({ prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion });
  });

  it("brings its sources, in a field of their own and as annotations where the text names them", async () => {
    const annotation = (start_index: number) => ({
      type: "url_citation",
      url_citation: { start_index, end_index: start_index + 3, url: "a", title: expect.any(String) },
    });
    const annotations = [said.indexOf("[1]"), said.lastIndexOf("[1]")].map(annotation);
    const sources = [{ marker: 1, passage: "a" }];
    const whole = await client.chat.completions.create({ model: "cited", messages });
    expect(whole).toMatchObject({ sources, choices: [{ message: { content: said, annotations } }] });

    const pieces: OpenAI.ChatCompletionChunk[] = [];
    for await (const piece of await client.chat.completions.create({ model: "cited", messages, stream: true }))
      pieces.push(piece);
    expect(pieces.at(-1)).toMatchObject({ sources, choices: [{ finish_reason: "stop", delta: { annotations } }] });
    expect(pieces.slice(0, -1).some((piece) => "sources" in piece)).toBe(false);
  });

  it("answers by the schema of response_format where it takes one, and refuses the field where it does not", async () => {
    const schema = { type: "object", properties: { color: { type: "string" } }, required: ["color"] };
    const response_format = { type: "json_schema" as const, json_schema: { name: "fruit", schema } };
    const right = '{"color":"yellow"}';
    const wrong = '{"colour": "yellow"}';
    filled.push(wrong, right, wrong, right); // for the whole answer, and for the stream
    const { text, finish } = await both("fill", { response_format });
    expect([text, finish]).toEqual([right, "stop"]);
    expect(filler.requests[1]!.messages.at(-1)!.content).toContain("/color is missing");
    expect(
      await client.chat.completions.create({ model: "fill", messages, response_format }).catch((e) => e),
    ).toMatchObject({
      status: 502,
      code: "model_failed",
    });
    const odd = { type: "json_schema" as const, json_schema: { name: "odd", schema: { not: {} } } };
    for (const [model, more] of [
      ["cited", { response_format }],
      ["fill", { response_format: odd }],
      ["fill", {}],
    ] as const)
      await expect(client.chat.completions.create({ model, messages, ...more })).rejects.toMatchObject({ status: 400 });
  });

  it("of no model has used no tokens", async () => {
    expect((await both("echo")).usage).toEqual({ prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 });
  });

  it("is cut by max_tokens: the model that writes the answer stops there, and others write what they need", async () => {
    for (const more of [{ max_tokens: 3 }, { max_completion_tokens: 3 }]) {
      writer.requests.length = 0;
      const { text, finish, usage } = await both("ask", more);
      expect([text, finish]).toEqual(["Bananas are yellow", "length"]);
      expect(writer.requests.map(({ maxTokens }) => maxTokens)).toEqual([3, 3]);
      expect(rewriter.requests.every(({ maxTokens }) => maxTokens > 3)).toBe(true);
      expect(usage!.completion_tokens).toBe(3 + 2);
    }
    // its own limit holds where it is less
    writer.requests.length = 0;
    expect((await both("ask", { max_tokens: 1000 })).finish).toBe("stop");
    expect(writer.requests[0]!.maxTokens).toBe(200);
  });

  it("of no model is cut by an estimate", async () => {
    for (const [most, kept] of [
      [2, "said hello "],
      [1, "said "],
    ] as const)
      expect(await both("echo", { max_tokens: most }, [{ role: "user", content: "hello" }])).toMatchObject({
        text: kept,
        finish: "length",
      });
    expect(await both("echo", { max_tokens: 100 })).toMatchObject({ finish: "stop" });
  });

  it("ends before a stop sequence, also one that lies between two parts of a stream", async () => {
    expect(await both("ask", { stop: "ow [1]. They" })).toMatchObject({ text: "Bananas are yell", finish: "stop" });
    expect(await both("ask", { stop: ["nothing", "grow", "are"] })).toMatchObject({ text: "Bananas ", finish: "stop" });
    expect(await both("ask", { stop: ["nothing"] })).toMatchObject({ text: said, finish: "stop" });
    // one that comes behind the limit ends nothing
    expect(await both("ask", { stop: ["grow"], max_tokens: 2 })).toMatchObject({ finish: "length" });
  });

  it("brings temperature, top_p and seed to the model that writes the answer, and to no other", async () => {
    await both("ask", { temperature: 0.7, top_p: 0.9, seed: 11 });
    expect(writer.requests.map(({ temperature, topP, seed }) => [temperature, topP, seed])).toEqual([
      [0.7, 0.9, 11],
      [0.7, 0.9, 11],
    ]);
    for (const request of rewriter.requests) expect([request.topP, request.seed]).toEqual([undefined, undefined]);
    expect(rewriter.requests[0]!.temperature).not.toBe(0.7);
    const [run] = await service.runs.list({ limit: 1 });
    expect(run!.seed).toBe(11);
  });

  it("refuses by name what it cannot do", async () => {
    const refused: [More, string][] = [
      [{ response_format: { type: "json_object" } }, "response_format"],
      [{ logprobs: true }, "logprobs"],
      [{ tools: [{ type: "function", function: { name: "f" } }] }, "tools"],
      [{ tool_choice: "required" }, "tool_choice"],
      [{ n: 2 }, "n"],
      [{ presence_penalty: 1 }, "presence_penalty"],
      [{ messages: [{ role: "assistant", content: "hi" }] }, "messages"],
      [{ messages: [...messages, { role: "assistant", content: "hi" }] }, "messages"],
      [{ messages: [{ role: "system", content: "hi" }] }, "messages"],
    ];
    for (const [more, param] of refused) {
      const error = await client.chat.completions.create({ model: "ask", messages, ...more }).catch((thrown) => thrown);
      expect([more, error.status, error.param]).toEqual([more, 400, param]);
    }
  });

  it("is asked the user's last question, and told the rest: in a history of an agent too", async () => {
    const call = { id: "1", type: "function" as const, function: { name: "search", arguments: "{}" } };
    const history: OpenAI.ChatCompletionMessageParam[] = [
      { role: "system", content: "be brief" },
      { role: "user", content: "first" },
      { role: "assistant", content: "one" },
      { role: "user", content: "second", name: "ann" },
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", tool_call_id: "1", content: "found" },
    ];
    expect((await both("say", {}, history as typeof messages)).text).toBe(
      [
        "system: be brief",
        "user: first",
        "assistant: one",
        "assistant: [called search with {}]",
        "user: [search returned]\nfound",
        "> second",
      ].join("\n"),
    );
  });
});
