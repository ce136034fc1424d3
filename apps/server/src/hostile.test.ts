// what operators of strangers throw ends one run, by every way in, and gives its place back (E-5)
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { type AnyOperator, flow, operator, text } from "@tessera/core";
import { z } from "zod";
import { freshFolder, operators, removeFolder, startService } from "./service.fixture.js";

const about = { module: "data", submodule: "test", summary: "For tests." } as const;
const boom = (): never => {
  throw new Error("boom");
};
/** A proxy whose every trap throws. */
const trap = () => new Proxy(Object.create(null), new Proxy({}, { get: () => boom })) as object;
const any = z.any();

/** What hostile operators give or throw, by name. */
const gives: Record<string, () => unknown> = {
  "a port whose schema throws": () => ({ text: "not json" }),
  "an output whose getter throws": () => Object.defineProperty({}, "text", { get: boom, enumerable: true }),
  "an output that is a proxy": trap,
  "a thrown proxy": () => {
    throw trap();
  },
  "an error whose message throws": () => {
    throw Object.defineProperty(new Error("x"), "message", { get: boom });
  },
  // biome-ignore lint/suspicious/noThenProperty: what is tested
  "a promise whose then throws": () => Object.defineProperty({}, "then", { get: boom }),
  "a thrown nothing": () => {
    throw undefined;
  },
  "an output that holds a getter which throws a proxy": () => ({
    text: Object.defineProperty({}, "deep", {
      get: () => {
        throw trap();
      },
      enumerable: true,
    }),
  }),
};
const names = Object.keys(gives);
const bad = operator({
  name: "test.bad",
  version: 1,
  about,
  config: z.strictObject({ how: z.number() }),
  ports: { input: { query: text }, output: { text: any } },
  setup:
    ({ how }) =>
    async () => {
      await null;
      return gives[names[how]!]!() as { text: string };
    },
});
const parsed = z.string().refine((value) => JSON.parse(value).ok === true);
const reads = operator({
  name: "test.reads",
  version: 1,
  about,
  config: z.strictObject({}),
  ports: { input: { text: parsed }, output: { text } },
  setup: () => (input) => ({ text: input.text }),
});
const hostile = names.map(
  (_, how) =>
    flow(`bad${how}`, { query: "text" }, (f, { query }) => {
      const given = f.node("bad", bad({ how }), { query });
      // the first meets a port whose schema throws, the others would be outputs of the flow
      return { text: how === 0 ? f.node("reads", reads(), { text: given.text }).text : given.text };
    }).document,
);

const folder = freshFolder();
let service: Awaited<ReturnType<typeof startService>>;
let url: string;
let headers: Record<string, string>;
const unhandled: unknown[] = [];
const note = (reason: unknown) => void unhandled.push(reason);
beforeAll(async () => {
  process.on("unhandledRejection", note);
  service = await startService(folder, { operators: [...operators, bad, reads] as unknown as AnyOperator[] });
  url = await service.server.listen({ port: 0, host: "127.0.0.1" });
  const limits = { requestsPerMinute: 100_000, concurrency: 1 }; // a place that is not given back is missed at once
  ({ headers } = await service.key({ scopes: ["run", "flows"], limits }));
  for (const document of hostile) expect((await service.library.put(document)).document.name).toBe(document.name);
});
afterAll(async () => {
  await service.server.close();
  removeFolder(folder);
  process.off("unhandledRejection", note);
});

const post = (address: string, body: object, more: Record<string, string> = {}) =>
  fetch(`${url}${address}`, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json", ...more },
    body: JSON.stringify(body),
  });

/** Every way in; each gives what the client is told, as text. */
const ways: Record<string, (flow: string) => Promise<string>> = {
  "a run": async (flow) => (await post(`/flows/${flow}/runs`, { input: { query: "q" } })).text(),
  "a stream": async (flow) =>
    (await post(`/flows/${flow}/runs`, { input: { query: "q" } }, { accept: "text/event-stream" })).text(),
  "a run in the background": async (flow) => {
    const begun = await post(`/flows/${flow}/runs`, { input: { query: "q" } }, { prefer: "respond-async" });
    const { id } = (await begun.json()) as { id: string };
    return JSON.stringify(await service.runs.settled(id));
  },
  "a chat": async (flow) =>
    (await post("/v1/chat/completions", { model: flow, messages: [{ role: "user", content: "q" }] })).text(),
  "a chat as a stream": async (flow) =>
    (
      await post("/v1/chat/completions", { model: flow, stream: true, messages: [{ role: "user", content: "q" }] })
    ).text(),
  "a tool over MCP": async (flow) => {
    const client = new Client({ name: "test", version: "1" });
    const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit: { headers } });
    await client.connect(transport as Parameters<Client["connect"]>[0]);
    try {
      const result = await client.callTool({ name: flow, arguments: { query: "q" } });
      expect(result.isError).toBe(true);
      return JSON.stringify(result);
    } finally {
      await client.close();
    }
  },
};

describe.each(Object.keys(ways))("%s", (way) => {
  it.each(names)("ends with an error after %s, and the next one has its place", async (name) => {
    const flow = hostile[names.indexOf(name)]!.name;
    const told = await ways[way]!(flow);
    expect(told).toMatch(/NODE_FAILED|BAD_OUTPUT|BAD_VALUE|server_error|failed/);
    expect(told).not.toContain("boom");
    // the run has settled, and nothing of it is left
    const [last] = await service.runs.list({ limit: 1 });
    expect([last?.flow, (await service.runs.settled(last!.id)).status]).toEqual([flow, "failed"]);
    const next = await post("/flows/echo/runs", { input: { query: "q" } });
    expect([next.status, unhandled]).toEqual([200, []]);
  });
});
