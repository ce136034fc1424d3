import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { type AnyOperator, flow, type Hit, type Passage } from "@tessera/core";
import { compile } from "@tessera/graph";
import { hostOf, runOperator, testOperator } from "@tessera/testkit";
import { openMcpServer } from "./client.js";
import { referenceServer } from "./reference-servers.fixture.js";
import { mcpResource } from "./resource.js";
import { mcpSearch } from "./search.js";
import type { McpServer } from "./server.js";
import { mcpTool } from "./tool.js";

const folder = realpathSync(mkdtempSync(join(tmpdir(), "tessera-mcp-")));
let everything: McpServer;
let files: McpServer;
let memory: McpServer;

beforeAll(async () => {
  writeFileSync(join(folder, "a.txt"), "the first line\nthe second line\n");
  [everything, files, memory] = await Promise.all([
    openMcpServer(referenceServer("server-everything")),
    openMcpServer(referenceServer("server-filesystem", [folder])),
    openMcpServer({
      ...referenceServer("server-memory"),
      environment: { MEMORY_FILE_PATH: join(folder, "memory.jsonl") },
    }),
  ]);
  await memory.call("create_entities", {
    entities: [
      { name: "backoff", entityType: "rule", observations: ["retries wait twice as long each time", "half at random"] },
      { name: "cache", entityType: "rule", observations: ["writes are never served from a cache"] },
    ],
  });
});
afterAll(async () => {
  await Promise.all([everything, files, memory].map((server) => server?.close?.()));
  rmSync(folder, { recursive: true });
});

const host = () => hostOf({ "mcp/everything": everything, "mcp/files": files, "mcp/memory": memory });
const outcome = (operator: AnyOperator, config: unknown, input: Record<string, unknown> = {}) =>
  runOperator(operator, config, input, { host: host() });

testOperator(mcpTool, {
  host,
  cases: [
    {
      name: "the arguments of the port come before those of the settings",
      config: { server: "everything", tool: "get-sum", arguments: { a: 1, b: 1 } },
      input: { arguments: { b: 41 } },
      output: ({ text, structured }) => expect([text, structured]).toEqual(["The sum of 1 and 41 is 42.", undefined]),
    },
    {
      name: "gives the JSON of a tool that declares some",
      config: { server: "files", tool: "read_text_file" },
      input: { arguments: { path: join(folder, "a.txt"), head: 1 } },
      output: ({ text, structured }) => {
        expect(text).toBe("the first line");
        expect(structured).toEqual({ content: "the first line" });
      },
    },
    {
      name: "streams the progress that its server reports",
      config: { server: "everything", tool: "trigger-long-running-operation", arguments: { duration: 0.1, steps: 2 } },
      input: {},
      output: ({ progress }, { emitted }) => {
        // the last message comes with the result itself, and may be too late to be told
        const [first] = progress as unknown[];
        expect(first).toMatchObject({ progress: 1, total: 2 });
        expect(emitted.flatMap(({ delta }) => delta)).toEqual(progress);
      },
    },
    {
      name: "an image is a piece without text",
      config: { server: "everything", tool: "get-tiny-image" },
      input: {},
      output: ({ content }) => expect(content).toContainEqual({ kind: "image", mimeType: "image/png" }),
    },
  ],
});

describe("mcp.tool", () => {
  const writing = { server: "files", tool: "write_file" };
  it("refuses a tool that may write, unless the settings say that it writes", async () => {
    await expect(outcome(mcpTool, writing)).rejects.toMatchObject({
      code: "BAD_CONFIG",
      hint: expect.stringContaining('"writes": true'),
    });
    const path = join(folder, "b.txt");
    await outcome(mcpTool, { ...writing, writes: true }, { arguments: { path, content: "made" } });
    expect((await outcome(mcpTool, { server: "files", tool: "read_text_file" }, { arguments: { path } })).text).toBe(
      "made",
    );
  });

  it("makes a flow that writes of one that names such a tool, and only then", async () => {
    const compiled = async (config: { tool: string; writes?: boolean }) => {
      const made = flow("made", {}, (f) => ({
        text: f.node("tool", mcpTool({ server: "files", ...config }), {}).text,
      }));
      return (await compile(made.document, { operators: [mcpTool], host: host() })).writes;
    };
    expect(await compiled({ tool: "write_file", writes: true })).toContain("mcp/files");
    expect([...(await compiled({ tool: "list_allowed_directories" }))]).toEqual([]);
  });

  it("keeps a server to its folder, whatever a flow asks", async () => {
    const reading = { server: "files", tool: "read_text_file" };
    await expect(outcome(mcpTool, reading, { arguments: { path: "/etc/hosts" } })).rejects.toMatchObject({
      code: "TOOL_FAILED",
    });
  });

  it("refuses a tool that there is none of, with one of a like name", async () => {
    await expect(outcome(mcpTool, { server: "everything", tool: "ecko" })).rejects.toMatchObject({
      code: "UNKNOWN_RESOURCE",
      hint: expect.stringContaining("echo"),
    });
  });
});

testOperator(mcpResource, {
  host,
  cases: [
    {
      name: "reads a resource by its name",
      config: { server: "everything", resource: "features.md" },
      input: {},
      output: ({ documents, text }) => {
        const [document] = documents as Passage[];
        expect(document).toMatchObject({
          id: "demo://resource/static/document/features.md",
          source: { path: "demo://resource/static/document/features.md" },
        });
        expect(text).toBe(document!.text);
      },
    },
    {
      name: "fills the places of a template",
      config: { server: "everything", resource: "Dynamic Text Resource" },
      input: { values: { resourceId: "12" } },
      output: ({ text }) => expect(text).toMatch(/Resource 12/),
    },
  ],
});

describe("mcp.resource", () => {
  it("takes no address in a document", () => {
    const settings = { server: "everything", resource: "demo://resource/static/document/features.md" };
    expect(mcpResource.config.safeParse(settings).success).toBe(false);
  });
});

const texts = (hits: unknown) => (hits as Hit[]).map(({ passage }) => [passage.id, passage.title, passage.text]);

testOperator(mcpSearch, {
  host,
  cases: [
    {
      name: "finds by the one tool that searches, where such lists usually stand",
      config: { server: "memory" },
      input: { query: "retries" },
      output: ({ hits, available }) => {
        expect(available).toBe(true);
        expect(texts(hits)).toEqual([
          [expect.stringMatching(/^memory:/), "backoff", "retries wait twice as long each time\nhalf at random"],
        ]);
        expect((hits as Hit[])[0]).toMatchObject({ score: 1, provenance: [{ operator: "mcp.search", rank: 1 }] });
      },
    },
    {
      name: "finds where the settings say",
      config: {
        server: "memory",
        tool: "search_nodes",
        hits: "entities",
        text: ["name", "entityType"],
        title: "entityType",
      },
      input: { query: "a" },
      output: ({ hits }) =>
        expect(texts(hits)).toEqual([
          [expect.any(String), "rule", "backoff\nrule"],
          [expect.any(String), "rule", "cache\nrule"],
        ]),
    },
    {
      name: "finds files by a pattern, each line of the text no hit of its own",
      config: { server: "files", tool: "search_files", argument: "pattern", arguments: { path: folder } },
      input: { query: "*.txt" },
      output: ({ hits }) => expect((hits as Hit[])[0]!.passage.text).toContain("a.txt"),
    },
    {
      name: "runs without its server where it is optional",
      config: { server: "web", optional: true },
      input: { query: "retries" },
      output: { hits: [], available: false },
    },
  ],
});

describe("mcp.search", () => {
  it.each<[string, object, string]>([
    ["a server that there is none of", { server: "web" }, "UNKNOWN_RESOURCE"],
    ["a server without a tool that searches", { server: "everything" }, "BAD_CONFIG"],
    ["a tool that writes", { server: "memory", tool: "delete_entities", argument: "entityNames" }, "BAD_CONFIG"],
    ["two arguments that may take the query", { server: "files", tool: "search_files" }, "BAD_CONFIG"],
  ])("refuses %s at set-up", async (_, config, code) => {
    await expect(outcome(mcpSearch, config, { query: "a" })).rejects.toMatchObject({ code });
  });

  it("takes its settings from whoever provides the server, and lets those of the flow come first", async () => {
    const provided = { ...everything, search: { tool: "echo", argument: "message" } } as McpServer;
    for (const method of ["tools", "call"] as const)
      Object.assign(provided, { [method]: everything[method].bind(everything) });
    const { hits } = await runOperator(
      mcpSearch,
      { server: "web" },
      { query: "retries" },
      {
        host: hostOf({ "mcp/web": provided }),
      },
    );
    expect(texts(hits)).toEqual([[expect.stringMatching(/^web:/), undefined, "Echo: retries"]]);
  });

  it("runs in a flow", async () => {
    const found = flow("found", { query: "text" }, (f, { query }) => ({
      hits: f.node("search", mcpSearch({ server: "memory" }), { query }).hits,
    }));
    const compiled = await compile(found.document, { operators: [mcpSearch], host: host() });
    const { output } = await compiled.run({ query: "cache" });
    expect((output.hits as Hit[]).map(({ passage }) => passage.title)).toEqual(["cache"]);
  });
});
