import { randomUUID } from "node:crypto";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import {
  CallToolRequestSchema,
  type CallToolResult,
  ListToolsRequestSchema,
  type ServerNotification,
} from "@modelcontextprotocol/sdk/types.js";
import { TesseraError } from "@tessera/core";
import { errorBody } from "@tessera/core/internal";
import { flows } from "@tessera/flows";
import type { RunEvent, RunState } from "@tessera/graph/internal";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { clientSignal, endWith, readUntil } from "./client.js";
import { asTesseraError } from "./errors.js";
import type { Key } from "./keys.js";
import { inputSchema } from "./library.js";
import { type Call, type Caller, McpCalls, type RequestId } from "./mcp-calls.js";
import { may } from "./rights.js";
import { startRun } from "./run-starts.js";
import type { Service } from "./server.js";

const message = z.looseObject({
  id: z.union([z.string(), z.number()]).optional().catch(undefined),
  method: z.string().optional().catch(undefined),
  params: z.looseObject({}).optional().catch(undefined),
});
type Sent = z.infer<typeof message>;

const isCancellation = ({ method }: Sent): boolean => method === "notifications/cancelled";
const isCall = ({ id, method }: Sent): boolean => id !== undefined && method === "tools/call";
const progressTokenOf = ({ params }: Sent): unknown =>
  (params?._meta as { progressToken?: unknown } | null)?.progressToken;

/** What a run waits for, and where that is answered: this server keeps no sessions in which it could ask its client. */
function waitingResult({ id, waits = [] }: Pick<RunState, "id" | "waits">): CallToolResult {
  const lines = waits.map(({ path, kind, payload, signal }) => {
    const address = kind === "signal" ? `signals/${signal}` : `waits/${encodeURIComponent(path)}`;
    const how = kind === "time" ? "it wakes by itself" : `POST /runs/${id}/${address}`;
    const asked = payload === undefined ? "" : `: ${typeof payload === "string" ? payload : JSON.stringify(payload)}`;
    return `The run waits at ${path}${asked} (${how})`;
  });
  return { content: [{ type: "text", text: lines.join("\n") }], _meta: { run: id, status: "waiting", waits } };
}

/** What a run came to, as the result of a tool. */
function resultOf({ id, status, output = {}, error, spent, waits }: RunState): CallToolResult {
  const _meta = { run: id, status, ...(spent && { spent }) };
  const failure =
    error ??
    (status === "interrupted"
      ? errorBody(new TesseraError("CLOSED", "the service closed before the run had ended", { path: id }))
      : undefined);
  if (failure) return { isError: true, content: [{ type: "text", text: JSON.stringify(failure) }], _meta };
  if (status === "waiting") return waitingResult({ id, waits });
  const text = typeof output.text === "string" ? output.text : JSON.stringify(output);
  return { content: [{ type: "text", text }], structuredContent: output, _meta };
}

/** Says of each step that has ended that it has; the number of steps is not known before. */
async function tellProgress(
  events: AsyncIterable<RunEvent>,
  progressToken: string | number,
  tell: (notification: ServerNotification) => Promise<void>,
): Promise<void> {
  let progress = 0;
  for await (const { type, data } of events) {
    if (type !== "node-end") continue;
    progress++;
    const { path } = data as { path?: string };
    await tell({
      method: "notifications/progress",
      params: { progressToken, progress, ...(path && { message: path }) },
    });
  }
}

/** One server a request: it keeps nothing, so that any process can answer the next one. */
function toolsOf(service: Service, key: Key, calls: ReadonlyMap<RequestId, Call>): Server {
  const { library, runs } = service;
  const server = new Server({ name: "tessera", version: "0.1.0" }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, async () => ({
    tools: await Promise.all(
      library.names
        .filter((flow) => may(key, { to: "run", flow }))
        .map(async (name) => ({
          name,
          description: flows.get(name)?.summary ?? `The flow "${name}".`,
          inputSchema: inputSchema((await library.flow(name)).document),
        })),
    ),
  }));
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, { requestId, _meta, sendNotification }) => {
    const { signal, run, end } = calls.get(requestId)!;
    try {
      const { id } = await startRun(service, key, {
        flow: params.name,
        input: params.arguments ?? {},
        id: run,
        signal,
      });
      const untie = endWith(signal, runs, id);
      if (_meta?.progressToken !== undefined)
        await tellProgress(readUntil(signal, runs.events(id)), _meta.progressToken, sendNotification);
      const ended = await runs.settled(id);
      untie();
      return resultOf(ended);
    } catch (thrown) {
      return { isError: true, content: [{ type: "text", text: JSON.stringify(errorBody(asTesseraError(thrown))) }] };
    } finally {
      end();
    }
  });
  return server;
}

/** The calls among the messages of one request. They end with its client, and with its answer. */
function openCalls(calls: McpCalls, caller: Caller, sent: readonly Sent[], client: AbortSignal): Map<RequestId, Call> {
  const opened = new Map<RequestId, Call>();
  for (const one of sent) if (isCall(one)) opened.set(one.id!, calls.open(caller, one.id!));
  const leave = () => {
    for (const call of opened.values()) {
      call.abort(client.reason);
      call.end();
    }
  };
  if (client.aborted) leave();
  else client.addEventListener("abort", leave, { once: true });
  return opened;
}

/** A call that was cancelled has no answer: the protocol wants none, and its client would not know what to do with one. */
function endWithoutAnswer({ raw }: FastifyReply): void {
  if (!raw.headersSent) raw.writeHead(202);
  raw.end();
}

async function answer(service: Service, calls: McpCalls, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const { key, body, headers, raw } = request;
  const session = headers["mcp-session-id"];
  const caller: Caller = { key, session: typeof session === "string" && session.length <= 128 ? session : undefined };
  const sent = [body].flat().map((one) => message.parse(one));
  const client = clientSignal(request, reply);
  const opened = openCalls(calls, caller, sent, client);
  for (const { params } of sent.filter(isCancellation)) {
    const id = z.union([z.string(), z.number()]).safeParse(params?.requestId);
    if (id.success) await calls.cancel(caller, id.data);
  }
  const rest = [body].flat().filter((_, index) => !isCancellation(sent[index]!));
  reply.hijack();
  if (rest.length === 0) return endWithoutAnswer(reply);
  const tools = toolsOf(service, key, opened);
  // what comes before the result needs a stream
  const enableJsonResponse = !sent.some((one) => isCall(one) && progressTokenOf(one) !== undefined);
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse });
  if (sent.some(({ method }) => method === "initialize")) reply.raw.setHeader("mcp-session-id", randomUUID());
  client.addEventListener("abort", () => void tools.close(), { once: true });
  const [only] = rest.length === 1 ? opened.values() : [];
  const abandon = () => {
    if (!client.aborted) endWithoutAnswer(reply);
    void tools.close();
  };
  if (only?.signal.aborted) return abandon();
  only?.signal.addEventListener("abort", abandon, { once: true });
  await tools.connect(transport as Parameters<typeof tools.connect>[0]);
  await transport.handleRequest(raw, reply.raw, Array.isArray(body) ? rest : rest[0]);
}

/**
 * Each flow as a tool, over the Model Context Protocol (streamable HTTP). A session is no more than a name, by which the
 * cancellation of a call finds the call: any process answers any request, and there is nothing to end.
 */
export function mcpRoute(server: FastifyInstance, service: Service): void {
  const calls = new McpCalls(service.runs);
  server.post(
    "/mcp",
    {
      schema: {
        body: z.union([z.looseObject({ jsonrpc: z.literal("2.0") }), z.array(z.looseObject({})).min(1).max(50)]),
      },
      config: { scope: "run", summary: "the Model Context Protocol: each flow is a tool" },
    },
    async (request, reply) => {
      await answer(service, calls, request, reply);
      return reply;
    },
  );
}
