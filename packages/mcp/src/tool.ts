// public: mcpTool
import { operator, TesseraError, text } from "@tessera/core";
import { z } from "zod";
import { textOf } from "./content.js";
import { type McpServer, toolOf } from "./server.js";

const any = z.any();

/**
 * Calls a tool of an MCP server. The arguments are those of the settings and those of the port `arguments`, which come
 * first. `text` is what the tool said; `structured` is its JSON, if it declares an output, and `content` has a line for each
 * piece, also for images and links. Parts of `progress` come while the tool works, if its server reports progress.
 *
 * A tool that its server does not call a reading one is refused, unless `writes` is set: then the flow writes, its result
 * is never taken from a cache, and a service runs the flow only if whoever provides the service gave it. The server does
 * not know who asks; what it may show to anybody is its own matter.
 * @throws TesseraError UNKNOWN_RESOURCE at set-up if there is no such tool, BAD_CONFIG if it may write; TOOL_FAILED
 */
export const mcpTool = operator({
  name: "mcp.tool",
  version: 1,
  about: { module: "data", submodule: "outside", summary: "Calls a tool of an MCP server." },
  config: z.strictObject({
    /** The name of an "mcp" resource. */
    server: z.string().min(1),
    tool: z.string().min(1),
    /** Arguments that are always the same. */
    arguments: z.record(z.string(), z.json()).default({}),
    /** Whether the tool may change something. */
    writes: z.boolean().default(false),
  }),
  ports: {
    input: { arguments: z.record(z.string(), any).optional() },
    output: { text, structured: any.optional(), content: z.array(any), progress: z.array(any) },
  },
  effects: ({ writes }) => (writes ? "write" : "read"),
  async setup({ server: name, tool, arguments: fixed, writes }, host) {
    const server = await host.resource<McpServer>("mcp", name);
    const { reads } = await toolOf(server, name, tool);
    if (!reads && !writes)
      throw new TesseraError("BAD_CONFIG", `the tool "${tool}" does not say that it only reads`, {
        path: `mcp/${name}`,
        hint: 'if it may change something, set "writes": true',
      });
    return async ({ arguments: given = {} }, { signal, emit }) => {
      const reported: unknown[] = [];
      const { content, structured } = await server.call(
        tool,
        { ...fixed, ...given },
        {
          signal,
          progress(one) {
            reported.push(one);
            emit("progress", [one]);
          },
        },
      );
      return { text: textOf(content), structured, content: [...content], progress: reported };
    };
  },
});
