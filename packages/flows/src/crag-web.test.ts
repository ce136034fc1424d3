import { readFileSync } from "node:fs";
import { expect, it } from "@jest/globals";
import type { Host, Resource } from "@tessera/core";
import type { McpServer } from "@tessera/mcp";
import { type ModelScript, ruledModel } from "@tessera/testkit";
import { hostOver } from "./corpus.fixture.js";
import { crag } from "./crag/flow.js";
import { ids, trace } from "./trace.fixture.js";

it("crag searches the MCP server `web` where there is one, in place of the vector store", async () => {
  const script = new URL("./crag/samples/incorrect/model.json", import.meta.url);
  const model = ruledModel(JSON.parse(readFileSync(script, "utf8")) as ModelScript);
  const queries: unknown[] = [];
  const web: McpServer = {
    revision: "1",
    tools: async () => [
      { name: "web_search", input: { required: ["q"], properties: { q: { type: "string" } } }, reads: true },
    ],
    async call(_, given) {
      queries.push(given);
      const results = [{ url: "https://example.com/clocks", title: "Clocks", snippet: "Old clocks stand there." }];
      return { content: [], structured: { results } };
    },
    resources: async () => [],
    read: async () => [],
  };
  const local = await hostOver(model);
  const host: Host = {
    resource: <T extends Resource>(kind: string, name: string) =>
      kind === "mcp" && name === "web" ? Promise.resolve(web as unknown as T) : local.resource<T>(kind, name),
  };
  const { output, ran } = await trace(crag, { query: "Ada Brandt born" }, model, Promise.resolve(host));
  expect(queries).toEqual([{ q: "old clocks maps" }]);
  expect(ids(output.hits)).toEqual(["https://example.com/clocks"]);
  expect(output.answer.citations).toMatchObject([{ path: "https://example.com/clocks" }]);
  expect(ran).toMatchObject({ "mcp.search": 1 });
  expect(ran).not.toHaveProperty("retriever.dense");
});
