import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { errorBody } from "@tessera/core";
import { flows } from "@tessera/flows";
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { asTesseraError } from "./errors.js";
import type { Key } from "./keys.js";
import { inputSchema } from "./library.js";
import { startRun } from "./run-routes.js";
import type { Service } from "./server.js";

/** One server a request: it keeps no session, so that any process can answer the next one. */
function toolsOf(service: Service, key: Key): Server {
  const { library, runs } = service;
  const server = new Server({ name: "tessera", version: "0.1.0" }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, async () => ({
    tools: await Promise.all(
      library.names
        .filter((name) => key.flows?.includes(name) ?? true)
        .map(async (name) => ({
          name,
          description: flows.get(name)?.summary ?? `The flow "${name}".`,
          inputSchema: inputSchema((await library.flow(name)).document),
        })),
    ),
  }));
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, { signal }) => {
    try {
      const { id } = await startRun(service, key, params.name, { input: params.arguments ?? {} });
      const cancel = () => void runs.cancel(id).catch(() => {});
      signal.addEventListener("abort", cancel, { once: true });
      const { output, error } = await runs.settled(id);
      signal.removeEventListener("abort", cancel);
      if (error) return { isError: true, content: [{ type: "text", text: JSON.stringify(error) }] };
      const text = typeof output?.text === "string" ? output.text : JSON.stringify(output ?? {});
      return { content: [{ type: "text", text }], structuredContent: output ?? {} };
    } catch (thrown) {
      return { isError: true, content: [{ type: "text", text: JSON.stringify(errorBody(asTesseraError(thrown))) }] };
    }
  });
  return server;
}

/** Each flow as a tool, over the Model Context Protocol (streamable HTTP, without sessions). */
export function mcpRoute(server: FastifyInstance, service: Service): void {
  server.post(
    "/mcp",
    {
      schema: {
        body: z.union([z.looseObject({ jsonrpc: z.literal("2.0") }), z.array(z.looseObject({})).min(1).max(50)]),
      },
      config: { scope: "run", summary: "the Model Context Protocol: each flow is a tool" },
    },
    async ({ key, body, raw }, reply) => {
      const tools = toolsOf(service, key);
      const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
      reply.hijack();
      reply.raw.once("close", () => void tools.close());
      await tools.connect(transport as Parameters<typeof tools.connect>[0]);
      await transport.handleRequest(raw, reply.raw, body);
      return reply;
    },
  );
}
