// public: mcpSearch
import { flag, hits, operator, TesseraError, text } from "@tessera/core";
import { z } from "zod";
import { hitsOf } from "./search-result.js";
import { type SearchSettings, searchSettings } from "./search-settings.js";
import { type McpServer, type McpTool, toolOf } from "./server.js";

const name = "mcp.search";

/** The required arguments of a tool that take a text. */
function textsOf({ input }: McpTool): string[] {
  const { required = [], properties = {} } = input as {
    required?: readonly string[];
    properties?: Readonly<Record<string, { type?: unknown }>>;
  };
  return required.filter((one) => properties[one]?.type === "string");
}

interface Search {
  readonly tool: string;
  readonly argument: string;
}

/** Which tool is called with which argument. @throws TesseraError BAD_CONFIG where that is not clear */
async function searchOf(server: McpServer, serverName: string, settings: SearchSettings): Promise<Search> {
  const unclear = (message: string, hint: string) =>
    new TesseraError("BAD_CONFIG", message, { path: `mcp/${serverName}`, hint });
  let tool: McpTool;
  if (settings.tool !== undefined) tool = await toolOf(server, serverName, settings.tool);
  else {
    const all = await server.tools();
    const found = all.filter((one) => one.reads && /search/i.test(one.name) && textsOf(one).length > 0);
    if (found.length !== 1)
      throw unclear(
        `which tool of the MCP server "${serverName}" searches is not clear`,
        `set "tool", here or in the config: ${all.map((one) => one.name).join(", ")}`,
      );
    tool = found[0]!;
  }
  if (settings.argument !== undefined) return { tool: tool.name, argument: settings.argument };
  const open = textsOf(tool).filter((one) => settings.arguments?.[one] === undefined);
  const usual = open.filter((one) => /^(?:q|query|question|search|text|term|input)/i.test(one));
  const [argument] = open.length === 1 ? open : usual;
  if (argument === undefined || (open.length > 1 && usual.length > 1))
    throw unclear(
      `which argument of the tool "${tool.name}" takes the query is not clear`,
      `set "argument", here or in the config: ${Object.keys((tool.input.properties as object | undefined) ?? {}).join(", ")}`,
    );
  return { tool: tool.name, argument };
}

const isMissing = (error: unknown, server: string): boolean =>
  TesseraError.is(error) && error.code === "UNKNOWN_RESOURCE" && error.path === `mcp/${server}`;

/**
 * Searches by a tool of an MCP server, such as a search of the web. Settings here come before those that the config gives
 * with the server, and say which tool, which argument, and where the hits stand in the result. Without them the usual
 * places are looked at: JSON with a list of results, labelled lines, or one hit a block of text. Hits keep the server's
 * order; the score is 1/rank. A passage has the address of its hit as id and source. A tool
 * that does not call itself a reading one must be named by the config. With `optional`, a flow runs without such a server: `available` is false, and nothing is found.
 * @throws TesseraError BAD_CONFIG at set-up if tool or argument are not clear; TOOL_FAILED
 */
export const mcpSearch = operator({
  name,
  version: 1,
  about: {
    module: "retrieval",
    submodule: "retriever selection",
    summary: "Retrieves by a search tool of an MCP server, such as a search of the web.",
  },
  config: z.strictObject({
    /** The name of an "mcp" resource. */
    server: z.string().min(1),
    ...searchSettings,
    top: z.int().positive().default(10),
    /** Whether the flow runs without the server, and then finds nothing. */
    optional: z.boolean().default(false),
  }),
  ports: { input: { query: text }, output: { hits, available: flag } },
  async setup({ server: serverName, top, optional, ...own }, host) {
    let server: McpServer;
    try {
      server = await host.resource<McpServer>("mcp", serverName);
    } catch (error) {
      if (!optional || !isMissing(error, serverName)) throw error;
      return () => ({ hits: [], available: false });
    }
    const settings = { ...server.search, ...own };
    const { tool, argument } = await searchOf(server, serverName, settings);
    // whoever provides the server may name any tool; a document may not make one write by calling it a search
    if (own.tool !== undefined && own.tool !== server.search?.tool) {
      const { reads } = await toolOf(server, serverName, own.tool);
      if (!reads)
        throw new TesseraError("BAD_CONFIG", `the tool "${own.tool}" does not say that it only reads`, {
          path: `mcp/${serverName}`,
          hint: "name it in the config, beside the server: `search`",
        });
    }
    return async ({ query }, { signal }) => {
      const result = await server.call(tool, { ...settings.arguments, [argument]: query }, { signal });
      return { hits: hitsOf(result, settings, { operator: name, server: serverName, top }), available: true };
    };
  },
});
