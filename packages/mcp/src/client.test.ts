import { createServer } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { TesseraError } from "@tessera/core";
import { openMcpServer } from "./client.js";
import { referenceServer } from "./reference-servers.fixture.js";
import type { McpProgress, McpServer } from "./server.js";

const failureOf = async (work: Promise<unknown>): Promise<TesseraError> => {
  const error = await work.then(
    () => undefined,
    (thrown) => thrown,
  );
  if (!TesseraError.is(error)) throw new Error(`no error of the framework: ${String(error)}`);
  return error;
};

describe("an MCP server that a command starts: the reference server of everything", () => {
  let server: McpServer;
  beforeAll(async () => {
    server = await openMcpServer({
      ...referenceServer("server-everything"),
      environment: { OF_THE_TEST: "handed over" },
      resources: {
        own: "demo://resource/dynamic/text/{resourceId}",
        page: "demo://resource/static/document/features.md",
      },
    });
  });
  afterAll(() => server.close?.());

  it("lists its tools, and which of them only read", async () => {
    const tools = new Map((await server.tools()).map((tool) => [tool.name, tool]));
    expect(tools.get("echo")).toMatchObject({ reads: true, input: { required: ["message"] } });
    expect(tools.get("gzip-file-as-resource")).toMatchObject({ reads: false });
  });

  it("calls a tool, and gives its text and its JSON", async () => {
    expect(await server.call("echo", { message: "well" })).toEqual({ content: [{ kind: "text", text: "Echo: well" }] });
    const { structured } = await server.call("get-structured-content", { location: "Chicago" });
    expect(Object.keys(structured as object).sort()).toEqual(["conditions", "humidity", "temperature"]);
  });

  it("hands over the environment of its settings, and nothing else of ours", async () => {
    process.env.A_SECRET_OF_THE_TEST = "kept";
    const { content } = await server.call("get-env", {});
    const told = JSON.parse(content[0]!.text!) as Record<string, string>;
    expect(told.OF_THE_TEST).toBe("handed over");
    expect(told.A_SECRET_OF_THE_TEST).toBeUndefined();
  });

  it("says what a tool says that it failed of, and what the server says of wrong arguments", async () => {
    const error = await failureOf(server.call("echo", { messages: 1 }));
    expect(error).toMatchObject({ code: "TOOL_FAILED", path: expect.stringMatching(/\/echo$/) });
    expect(error.message).toMatch(/message/);
    expect(await failureOf(server.call("no-such-tool", {}))).toMatchObject({ code: "TOOL_FAILED" });
  });

  it("tells of progress, whose messages keep a call alive for longer than the silence that it may have", async () => {
    const patient = await openMcpServer({ ...referenceServer("server-everything"), timeoutMs: 1500 });
    try {
      const told: McpProgress[] = [];
      // five messages in 2.5 seconds: longer than the silence
      const call = { duration: 2.5, steps: 5 };
      await patient.call("trigger-long-running-operation", call, { progress: (one) => told.push(one) });
      // the last message comes with the result itself, and may be too late to be told
      const steps = [1, 2, 3, 4].map((step) => [step, 5]);
      expect(told.map(({ progress, total }) => [progress, total]).slice(0, 4)).toEqual(steps);
    } finally {
      await patient.close?.();
    }
  });

  it("ends a silent call by itself", async () => {
    const hasty = await openMcpServer({ ...referenceServer("server-everything"), timeoutMs: 1500 });
    try {
      const error = await failureOf(hasty.call("trigger-long-running-operation", { duration: 600, steps: 1 }));
      expect(error.code).toBe("TOOL_FAILED");
      expect(error.message).toMatch(/timed out/i);
    } finally {
      await hasty.close?.();
    }
  });

  it("ends a call that is aborted with the reason of the signal, and goes on", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const call = server.call(
      "trigger-long-running-operation",
      { duration: 600, steps: 6000 },
      { signal: controller.signal, progress: () => controller.abort(reason) },
    );
    await expect(call).rejects.toBe(reason);
    expect((await server.call("echo", { message: "still" })).content).toHaveLength(1);
  });

  it("reads resources by their names: single ones, templates, and those that the config names", async () => {
    const names = (await server.resources()).map(({ name, values }) => [name, ...values]);
    expect(names).toContainEqual(["own", "resourceId"]);
    expect(names).toContainEqual(["Dynamic Text Resource", "resourceId"]);
    expect((await server.read("architecture.md", {}))[0]!.text).toMatch(/^# /);
    expect((await server.read("page", {}))[0]!.address).toBe("demo://resource/static/document/features.md");
    expect((await server.read("own", { resourceId: "7" }))[0]!.text).toMatch(/Resource 7/);
    const [blob] = await server.read("Dynamic Blob Resource", { resourceId: "7" });
    expect(blob!.address).toBe("demo://resource/dynamic/blob/7");
  });

  it("refuses a resource that there is none of, and a template without its values", async () => {
    expect(await failureOf(server.read("architecure.md", {}))).toMatchObject({
      code: "UNKNOWN_RESOURCE",
      hint: expect.stringContaining("architecture.md"),
    });
    expect((await failureOf(server.read("own", {}))).message).toMatch(/resourceId/);
  });

  it("starts a server again that ended", async () => {
    const own = await openMcpServer(referenceServer("server-everything"));
    try {
      const { pid } = (await (own as unknown as { connected: Promise<{ transport: { pid: number } }> }).connected)
        .transport;
      process.kill(pid, "SIGKILL");
      // the first call may meet the end itself
      await own.call("echo", { message: "first" }).catch((error) => expect(error.code).toBe("TOOL_FAILED"));
      expect((await own.call("echo", { message: "second" })).content[0]!.text).toBe("Echo: second");
    } finally {
      await own.close?.();
    }
    expect(await failureOf(own.call("echo", { message: "third" }))).toMatchObject({ code: "CLOSED" });
  });
});

describe("what is no MCP server", () => {
  it.each<[string, Parameters<typeof openMcpServer>[0], string]>([
    ["no command", { command: "no-such-program-of-the-test" }, "TOOL_FAILED"],
    [
      "a program that ends",
      { command: process.execPath, args: ["-e", "console.error('no key'); process.exit(3)"] },
      "TOOL_FAILED",
    ],
    [
      "a program that says something else",
      { command: process.execPath, args: ["-e", "console.log('hello'); process.exit()"] },
      "TOOL_FAILED",
    ],
    ["nothing", {}, "BAD_ARGUMENT"],
    ["both", { command: "a", url: "http://127.0.0.1:1/mcp" }, "BAD_ARGUMENT"],
    ["a file", { url: "file:///etc/hosts" }, "BAD_ARGUMENT"],
    ["no address", { url: "127.0.0.1:3001/mcp" }, "BAD_ARGUMENT"],
    ["nobody", { url: "http://127.0.0.1:1/mcp" }, "TOOL_FAILED"],
  ])("%s is refused", async (name, settings, code) => {
    const error = await failureOf(openMcpServer(settings));
    expect(error.code).toBe(code);
    if (name === "a program that ends") expect(error.message).toMatch(/no key/);
  });
});

/** A server over streamable HTTP, made with the official SDK; `sessions` can be emptied, as a restart does. */
async function serveHttp() {
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  const keys: (string | undefined)[] = [];
  const http = createServer(async (request, response) => {
    keys.push(request.headers["x-key"] as string | undefined);
    const id = request.headers["mcp-session-id"] as string | undefined;
    let transport = id === undefined ? undefined : sessions.get(id);
    if (id !== undefined && !transport) return void response.writeHead(404).end();
    if (!transport) {
      const server = new Server({ name: "of the test", version: "1.0.0" }, { capabilities: { tools: {} } });
      server.setRequestHandler(ListToolsRequestSchema, () => ({
        tools: [{ name: "who", inputSchema: { type: "object" as const }, annotations: { readOnlyHint: true } }],
      }));
      server.setRequestHandler(CallToolRequestSchema, () => ({ content: [{ type: "text", text: "me" }] }));
      const made: StreamableHTTPServerTransport = new StreamableHTTPServerTransport({
        sessionIdGenerator: () => `${keys.length}-${sessions.size}`,
        onsessioninitialized: (name) => void sessions.set(name, made),
      });
      transport = made;
      await server.connect(made as never);
    }
    await transport.handleRequest(request, response);
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const { port } = http.address() as { port: number };
  return { http, sessions, keys, url: `http://127.0.0.1:${port}/mcp` };
}

it("speaks to a server at an address with the headers of the settings, and again when it forgot the session", async () => {
  const { http, sessions, keys, url } = await serveHttp();
  const server = await openMcpServer({ url, headers: { "x-key": "of the test" } });
  try {
    expect((await server.call("who", {})).content).toEqual([{ kind: "text", text: "me" }]);
    expect(new Set(keys)).toEqual(new Set(["of the test"]));
    sessions.clear();
    expect((await server.call("who", {})).content).toEqual([{ kind: "text", text: "me" }]);
    await server.check?.();
  } finally {
    await server.close?.();
    http.closeAllConnections();
    http.close();
  }
});
