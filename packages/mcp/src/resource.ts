// public: mcpResource
import { operator, passages, TesseraError, text } from "@tessera/core";
import { z } from "zod";
import { textOf } from "./content.js";
import type { McpServer } from "./server.js";

/**
 * Reads a resource of an MCP server by the name that the server or the config gives it; `values` fill the places of a
 * template. Each text of it is a passage under its address, and `text` is all of them. A flow cannot name an address.
 * @throws TesseraError UNKNOWN_RESOURCE if there is no such resource; TOOL_FAILED, also if it holds no text
 */
export const mcpResource = operator({
  name: "mcp.resource",
  version: 1,
  about: { module: "data", submodule: "outside", summary: "Reads a resource of an MCP server." },
  config: z.strictObject({
    /** The name of an "mcp" resource. */
    server: z.string().min(1),
    /** The name of a resource or of a template, as the server lists it or the config names it. */
    resource: z
      .string()
      .min(1)
      .refine((name) => !name.includes("://"), "it is a name; the config gives an address a name: `resources`"),
  }),
  ports: {
    input: { values: z.record(z.string(), text).optional() },
    output: { documents: passages, text },
  },
  async setup({ server: name, resource }, host) {
    const server = await host.resource<McpServer>("mcp", name);
    return async ({ values = {} }, { signal }) => {
      const content = await server.read(resource, values, { signal });
      const documents = content.flatMap(({ kind, text, address, mimeType }, index) =>
        kind === "text" && text !== undefined
          ? [
              {
                id: address ?? `${name}/${resource}#${index}`,
                text,
                source: { path: address ?? resource },
                metadata: { ...(mimeType !== undefined && { type: mimeType }) },
              },
            ]
          : [],
      );
      if (documents.length === 0)
        throw new TesseraError("TOOL_FAILED", `the resource "${resource}" holds no text`, { path: `mcp/${name}` });
      return { documents, text: textOf(content) };
    };
  },
});
