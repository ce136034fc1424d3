import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { RunState } from "@tessera/graph/internal";
import { freshFolder, release, removeFolder, startService } from "./service.fixture.js";

const folder = freshFolder();
let service: Awaited<ReturnType<typeof startService>>;
let url: URL;
let ann: Awaited<ReturnType<(typeof service)["key"]>>;
let bob: typeof ann;

beforeAll(async () => {
  service = await startService(folder);
  url = new URL("/mcp", await service.server.listen({ port: 0, host: "127.0.0.1" }));
  const limits = { requestsPerMinute: 100_000, concurrency: 1000 };
  ann = await service.key({ principal: { id: "ann" }, limits });
  bob = await service.key({ principal: { id: "bob" }, limits });
});
afterAll(async () => {
  await service.server.close();
  removeFolder(folder);
});

/** The official client; what it reports by `onerror` is kept. */
async function connected({ headers } = ann) {
  const errors: unknown[] = [];
  const client = new Client({ name: "test", version: "1" });
  client.onerror = (error) => errors.push(error);
  const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers } });
  await client.connect(transport as Parameters<Client["connect"]>[0]);
  return { client, transport, errors };
}

const running = async (): Promise<RunState[]> =>
  (await service.runs.list({ limit: 1000 })).filter(({ status }) => status === "running");
const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 5));
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await turn();
}
const held = (query: string) => ({ name: "hold", arguments: { query } });

/** A message by hand. */
const post = (
  body: object,
  more: Record<string, string> = {},
  { headers }: { headers: Record<string, string> } = ann,
) =>
  fetch(url, {
    method: "POST",
    headers: {
      ...headers,
      accept: "application/json, text/event-stream",
      "content-type": "application/json",
      ...more,
    },
    body: JSON.stringify(body),
  });
const message = (method: string, params: object, id?: string | number) => ({
  jsonrpc: "2.0",
  method,
  params,
  ...(id !== undefined && { id }),
});
const cancel = (requestId: string | number) => message("notifications/cancelled", { requestId });

describe("the official client", () => {
  it("connects, lists, calls, cancels and ends its session without an error", async () => {
    const { client, transport, errors } = await connected();
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain("echo");
    expect(await client.callTool({ name: "echo", arguments: { query: "hi" } })).toMatchObject({
      structuredContent: { text: "said hi to ann" },
      _meta: { status: "done", run: expect.any(String), spent: { steps: 1 } },
    });
    const leave = new AbortController();
    const called = client.callTool(held("cancel me"), undefined, { signal: leave.signal });
    called.catch(() => {});
    await until(async () => (await running()).length === 1);
    const [run] = await running();
    leave.abort();
    await expect(called).rejects.toThrow();
    expect((await service.runs.settled(run!.id)).status).toBe("cancelled");
    // the session is used after it as before
    expect(await client.callTool({ name: "echo", arguments: { query: "on" } })).toMatchObject({
      structuredContent: { text: "said on to ann" },
    });
    await transport.terminateSession();
    await client.close();
    expect(errors).toEqual([]);
  });

  it("cancels its own call alone, though the ids of another client with the same key are the same", async () => {
    const one = await connected();
    const other = await connected();
    const leave = new AbortController();
    const first = one.client.callTool(held("one"), undefined, { signal: leave.signal });
    first.catch(() => {});
    const second = other.client.callTool(held("other"));
    await until(async () => (await running()).length === 2);
    leave.abort();
    await expect(first).rejects.toThrow();
    await until(async () => (await running()).length === 1);
    expect((await running()).map(({ input }) => input.query)).toEqual(["other"]);
    const letGo = setInterval(release, 5);
    expect(await second).toMatchObject({ structuredContent: { text: "said other to ann" } });
    clearInterval(letGo);
    await one.client.close();
    await other.client.close();
    expect([...one.errors, ...other.errors]).toEqual([]);
  });

  it("cancels at any moment after it called", async () => {
    const { client, errors } = await connected();
    const calls = Array.from({ length: 20 }, async (_, i) => {
      const leave = new AbortController();
      const called = client.callTool(held(`moment ${i}`), undefined, { signal: leave.signal });
      setTimeout(() => leave.abort(), i);
      await expect(called).rejects.toThrow();
    });
    await Promise.all(calls);
    await until(async () => (await running()).length === 0);
    await client.close();
    expect(errors).toEqual([]);
  });

  it("hears of the progress of a run, and then its result", async () => {
    const { client, errors } = await connected();
    const heard: { progress: number; message?: string | undefined }[] = [];
    const asked = { name: "twice", arguments: { query: "hi" } };
    const result = await client.callTool(asked, undefined, {
      onprogress: ({ progress, message }) => heard.push({ progress, message }),
    });
    expect(result).toMatchObject({ structuredContent: { text: "said said hi to ann to ann" } });
    expect(heard).toEqual([
      { progress: 1, message: "twice/first" },
      { progress: 2, message: "twice/second" },
    ]);
    const leave = new AbortController();
    let told = 0;
    const onprogress = () => void told++;
    const called = client.callTool(held("cancel me too"), undefined, { signal: leave.signal, onprogress });
    called.catch(() => {});
    // what is on its way when a client leaves reaches it as progress of a call that it no longer knows
    await until(async () => (await running()).length === 1 && told > 0);
    leave.abort();
    await expect(called).rejects.toThrow();
    await until(async () => (await running()).length === 0);
    await client.close();
    expect(errors).toEqual([]);
  });
});

describe("the endpoint", () => {
  it.each(["GET", "DELETE"])("answers %s with 405 and the method that it takes", async (method) => {
    const response = await fetch(url, { method, headers: { ...ann.headers, accept: "text/event-stream" } });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
    expect(await response.json()).toMatchObject({ code: "METHOD_NOT_ALLOWED" });
  });

  it.each<[string, string | number]>([
    ["a number", 7],
    ["zero", 0],
    ["a text", "seven"],
  ])("cancels the call of a request id of its key, by hand and without a session: %s", async (_, id) => {
    const called = post(message("tools/call", held("q"), id));
    await until(async () => (await running()).length === 1);
    const [run] = await running();
    for (const [body, key] of [
      [cancel(id), bob],
      [cancel(String(id) === id ? Number(id.length) : String(id)), ann],
      [cancel(id), { headers: { ...ann.headers, "mcp-session-id": "another" } }],
      [message("notifications/cancelled", {}), ann],
      [message("notifications/cancelled", { requestId: null }), ann],
    ] as const)
      expect((await post(body, {}, key)).status).toBe(202);
    expect((await service.runs.get(run!.id))!.status).toBe("running");
    expect((await post(cancel(id))).status).toBe(202);
    expect((await service.runs.settled(run!.id)).status).toBe("cancelled");
    // and nothing answers what was cancelled
    const answer = await called;
    expect([answer.status, await answer.text()]).toEqual([202, ""]);
  });

  it("in a session remembers a cancellation that came before its call, and only that one", async () => {
    const begun = await post(
      message(
        "initialize",
        { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "x", version: "1" } },
        0,
      ),
    );
    const session = { "mcp-session-id": begun.headers.get("mcp-session-id")! };
    expect(session["mcp-session-id"]).toMatch(/^[\x21-\x7e]{20,}$/);
    await post(cancel(5), session);
    const cancelled = await post(message("tools/call", held("never"), 5), session);
    expect([cancelled.status, await cancelled.text()]).toEqual([202, ""]);
    expect((await service.runs.list({ limit: 1000 })).map(({ input }) => input.query)).not.toContain("never");
    const echo = { name: "echo", arguments: { query: "hi" } };
    expect(await (await post(message("tools/call", echo, 6), session)).json()).toMatchObject({ id: 6, result: {} });
  });

  it("of several calls in one request cancels the one that is named", async () => {
    const called = post([
      message("tools/call", held("named"), 1),
      message("tools/call", { name: "echo", arguments: { query: "hi" } }, 2),
    ]);
    await until(async () => (await running()).length === 1);
    await post(cancel(1));
    const answers = (await (await called).json()) as { id: number; result: { isError?: boolean } }[];
    expect(answers.map(({ id, result }) => [id, result.isError ?? false]).sort()).toEqual([
      [1, true],
      [2, false],
    ]);
  });

  it("finds the run of a call that another process took, by the run's name", async () => {
    const session = { "mcp-session-id": "one-of-two-processes" };
    const called = post(message("tools/call", held("elsewhere"), 3), session);
    await until(async () => (await running()).length === 1);
    const [run] = await running();
    const { McpCalls } = await import("./mcp-calls.js");
    const key = (await service.keys.list()).find(({ principal }) => principal.id === "ann")!;
    await new McpCalls(service.runs).cancel({ key, session: session["mcp-session-id"] }, 4);
    expect((await service.runs.get(run!.id))!.status).toBe("running");
    await new McpCalls(service.runs).cancel({ key, session: session["mcp-session-id"] }, 3);
    expect((await service.runs.settled(run!.id)).status).toBe("cancelled");
    expect(await (await called).json()).toMatchObject({ result: { isError: true } });
  });
});
