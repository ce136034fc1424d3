import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { type Delta, flow, type LanguageModel, operator, TesseraError, text } from "@tessera/core";
import { z } from "zod";
import { freshFolder, removeFolder, startService } from "./service.fixture.js";

// E-26 of the fault book: what an operator or a model service throws reaches no caller, and no log with its secrets
const secrets = ["hunter2pass", "sk-abcdefgh12345678"];
const words = `cannot reach postgres://user:${secrets[0]}@db.internal/ with api key: ${secrets[1]}`;
const port = { input: { query: text }, output: { text } };
const about = { module: "data", submodule: "test", summary: "For tests." } as const;
const fails = operator({
  name: "test.fails",
  version: 1,
  about,
  config: z.strictObject({ late: z.boolean().default(false) }),
  ports: port,
  setup:
    ({ late }) =>
    async (_, { emit }) => {
      if (late) emit("text", "so far ");
      throw new Error(words);
    },
});
const asks = operator({
  name: "test.asks",
  version: 1,
  about,
  config: z.strictObject({}),
  ports: port,
  bound: () => ({ calls: 1, tokens: 10 }),
  setup: async (_, host) => {
    const model = await host.resource<LanguageModel>("model", "leaky");
    return async (__, { signal }) => {
      for await (const _ of model.generate({ messages: [] } as never, signal));
      return { text: "" };
    };
  },
});

/** A model service that refuses, at once or behind its first words, with an error of ours that repeats what it said. */
const leaky = (late: boolean): LanguageModel => ({
  revision: "1",
  capabilities: new Set(),
  async *generate(): AsyncGenerator<Delta> {
    if (late) yield { text: "so far " };
    throw new TesseraError("MODEL_FAILED", `the service answered 401: ${words}`, { cause: new Error(words) });
  },
});

const flowOf = (name: string, use: ReturnType<typeof fails>) =>
  flow(name, { query: "text" }, (f, input) => ({ text: f.node("bad", use, input).text })).document;
const uploaded = {
  failing: flowOf("failing", fails({})),
  "failing-late": flowOf("failing-late", fails({ late: true })),
  asking: flowOf("asking", asks({}) as never),
};

const folder = freshFolder();
let service: Awaited<ReturnType<typeof startService>>;
let url: string;
let headers: Record<string, string>;
const logged: string[] = [];
const warned = (warning: Error) => void logged.push(String(warning));

beforeAll(async () => {
  process.on("warning", warned);
  service = await startService(folder, {
    operators: [fails, asks, ...(await import("./service.fixture.js")).operators],
    resources: { model: { leaky: leaky(false) } },
    models: { languageModels: { "leaky-now": leaky(false), "leaky-late": leaky(true) } },
    logger: { stream: { write: (line: string) => void logged.push(line) } },
  });
  url = await service.server.listen({ port: 0, host: "127.0.0.1" });
  headers = {
    ...(await service.key({ scopes: ["run", "flows"] })).headers,
    "content-type": "application/json",
  };
  for (const [name, document] of Object.entries(uploaded))
    expect((await send("PUT", `/flows/${name}`, document)).status).toBe(201);
});
afterAll(async () => {
  await service.server.close();
  process.off("warning", warned);
  removeFolder(folder);
});

async function send(method: string, path: string, body?: object, more: object = {}) {
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: { ...headers, ...more },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: answer.status, text: await answer.text(), run: answer.headers.get("x-run-id") };
}
const tells = (said: string) =>
  ["hunter2", "abcdefgh", "db.internal", "cannot reach"].filter((one) => said.includes(one));
const input = { input: { query: "q" } };

describe.each(Object.keys(uploaded))("what the flow %s throws", (name) => {
  it("stays inside: JSON, stream, the run, its events and values", async () => {
    const whole = await send("POST", `/flows/${name}/runs`, input);
    expect(whole.status).toBeGreaterThanOrEqual(500);
    expect(JSON.parse(whole.text)).toMatchObject({ code: expect.stringMatching(/^(NODE|MODEL)_FAILED$/) });
    const stream = await send("POST", `/flows/${name}/runs`, input, { accept: "text/event-stream" });
    expect(stream.text).toContain("event: node-error");
    const run = await send("GET", `/runs/${whole.run}`);
    const events = await send("GET", `/runs/${whole.run}/events`);
    const value = await send("GET", `/runs/${whole.run}/values/${"0".repeat(64)}`);
    const list = await send("GET", "/runs");
    for (const one of [whole, stream, run, events, value, list]) expect(tells(one.text)).toEqual([]);
  });

  it("stays inside: MCP, and /v1 whole and streamed", async () => {
    const client = new Client({ name: "test", version: "1" });
    const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit: { headers } });
    await client.connect(transport as Parameters<Client["connect"]>[0]);
    const called = await client.callTool({ name, arguments: { query: "q" } });
    await client.close();
    expect(called.isError).toBe(true);
    expect(tells(JSON.stringify(called))).toEqual([]);
    for (const stream of [false, true]) {
      const messages = [{ role: "user", content: "q" }];
      const said = await send("POST", "/v1/chat/completions", { model: name, messages, stream });
      expect(said.text).toMatch(/"error"/);
      expect(tells(said.text)).toEqual([]);
    }
  });
});

describe.each(["leaky-now", "leaky-late"])("what the model %s of this process throws", (model) => {
  it.each([false, true])("stays inside: /v1, streamed %s", async (stream) => {
    const said = await send("POST", "/v1/chat/completions", {
      model,
      messages: [{ role: "user", content: "q" }],
      stream,
    });
    expect(said.text).toMatch(/"error"/);
    expect(said.text).toContain("model_failed");
    expect(tells(said.text)).toEqual([]);
  });
});

it("the log has the cause of what callers are not told, without its secrets", async () => {
  await new Promise((resolve) => setImmediate(resolve));
  const log = logged.join("\n");
  expect(log).toContain("cannot reach postgres://");
  for (const secret of secrets) expect(log).not.toContain(secret);
});
