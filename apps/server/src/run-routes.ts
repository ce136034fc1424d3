import { once } from "node:events";
import { type Records, TesseraError } from "@tessera/core";
import { type RunState, unpack } from "@tessera/graph/internal";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { Client, clientSignal, readUntil } from "./client.js";
import { dataText } from "./live-run.js";
import { may } from "./rights.js";
import { named } from "./route.js";
import { answerOfRun, bodyOfRun, runId } from "./run-answers.js";
import { type Asked, find, resumeRun, startRun } from "./run-starts.js";
import type { Service } from "./server.js";
import { threadId, threadRoutes } from "./thread-routes.js";
import { fitsPlainly } from "./validate.js";
import { waitingRuns, waitRoutes } from "./wait-routes.js";

const count = z.int().nonnegative().max(Number.MAX_SAFE_INTEGER).optional();
export const runBody = fitsPlainly(
  z.strictObject({
    input: z.record(z.string(), z.any()).default({}),
    /** What `context.random` is made from. */
    seed: z.int().optional(),
    budget: z.strictObject({ steps: count, calls: count, tokens: count }).optional(),
    /** The conversation that it works on: it is given the history, and leaves its turn. */
    thread: threadId.optional(),
  }),
  isInputAlone,
);
type RunBody = z.infer<typeof runBody>;
const resumeBody = z.strictObject({
  budget: runBody.shape.budget,
  /** Whether it goes on although its document, or the version of an operator, is another than it began with. */
  acceptChanges: z.boolean().optional(),
});
const listed = z.object({
  state: z.enum(["running", "waiting", "done", "budget", "failed", "cancelled", "interrupted"]).optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(50),
});
const runValue = runId.extend({ hash: z.string().regex(/^[0-9a-f]{64}$/) });
export const idempotency = fitsPlainly(
  z.looseObject({ "idempotency-key": z.string().min(1).max(256).optional() }),
  (headers) => (headers as Record<string, unknown>)["idempotency-key"] === undefined,
);

/** Whether a body is `{ "input": { … } }`. */
function isInputAlone(body: unknown): boolean {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return false;
  for (const key in body) if (key !== "input") return false;
  const { input } = body as { input?: unknown };
  return typeof input === "object" && input !== null && !Array.isArray(input);
}

/** The beginning of the first text that a run was given: what people know it by. */
function beginningOfInput(input: RunState["input"]): string | undefined {
  const text =
    typeof input.query === "string" ? input.query : Object.values(input).find((one) => typeof one === "string");
  return typeof text === "string" ? text.slice(0, 200) : undefined;
}

interface Watched {
  readonly id: string;
  /** The number of the last event that the client knows. */
  readonly after: number;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
}

/** Streams the events of a run; `data` is JSON, `id` the number of the event. The last event is "run". */
async function stream({ runs }: Service, reply: FastifyReply, { id, after, signal }: Watched): Promise<void> {
  const settled = runs.settled(id); // asked for now: a run that has ended may be forgotten before its stream is read
  settled.catch(() => {});
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
    "x-run-id": id,
  });
  const write = async (type: string, data: string, sequence?: number) => {
    const text = `${sequence === undefined ? "" : `id: ${sequence}\n`}event: ${type}\ndata: ${data}\n\n`;
    // a slow reader holds up its own stream alone
    if (!raw.write(text) && !signal.aborted) await once(raw, "drain", { signal }).catch(() => {});
  };
  for await (const event of readUntil(signal, runs.events(id, after)))
    await write(event.type, dataText(event), event.sequence);
  if (signal.aborted) return;
  await write("run", JSON.stringify(bodyOfRun(await settled)));
  raw.end();
}

const wantsEvents = ({ headers: { accept = "" } }: FastifyRequest) => accept.includes("text/event-stream");

/** Runs: started, watched, cancelled, resumed. */
export function runRoutes(server: FastifyInstance, service: Service, records: Records | undefined): void {
  startRoute(server, service);
  if (records) documentRoute(server, service, records);
  readingRoutes(server, service);
  eventRoutes(server, service);
  changingRoutes(server, service);
  waitRoutes(server, service);
  threadRoutes(server, records);
}

function documentRoute(server: FastifyInstance, service: Service, records: Records): void {
  server.get<{ Params: { id: string } }>(
    "/runs/:id/document",
    { schema: { params: runId }, config: { scope: "run", summary: "the document that a run began with" } },
    async ({ key, params: { id } }) => {
      await find(service, key, id);
      const record = await records.run(id);
      if (!record) throw new TesseraError("RECORD_MISSING", `no run "${id}" is recorded`, { path: id });
      return { hash: record.hash, document: (await unpack(record.document, records)).document };
    },
  );
}

interface StartRoute {
  Params: { name: string };
  Body: RunBody;
  Headers: z.infer<typeof idempotency>;
}

function startRoute(server: FastifyInstance, service: Service): void {
  server.post<StartRoute>(
    "/flows/:name/runs",
    {
      schema: { params: named, body: runBody, headers: idempotency },
      config: { scope: "run", summary: "run a flow: JSON, a stream of events, or 202 with Prefer: respond-async" },
    },
    (request, reply) => {
      const { key, params, body, headers } = request;
      return answerStart(service, { request, reply, idempotencyKey: headers["idempotency-key"] }, (how) =>
        startRun(service, key, { flow: params.name, ...body, ...how }),
      );
    },
  );
}

/** What a request that starts a run says besides what it starts. */
interface Starting {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly idempotencyKey: string | undefined;
}

/** Answers a request that starts a run: with what it comes to, with its events, or at once with 202. */
export async function answerStart(
  service: Service,
  { request, reply, idempotencyKey }: Starting,
  start: (asked: Pick<Asked, "idempotencyKey" | "signal">) => RunState | Promise<RunState>,
) {
  const { runs } = service;
  const { prefer } = request.headers;
  const isBackground = prefer !== undefined && /\brespond-async\b/.test(String(prefer));
  // whoever gave no Idempotency-Key cannot come back for it
  const mayGo = isBackground || idempotencyKey !== undefined;
  const client = new Client(request, reply);
  const state = await start({ idempotencyKey, signal: mayGo ? undefined : client });
  const { id } = state;
  // one that has ended meanwhile cannot be cancelled, and need not be
  if (!mayGo) client.whenGone(() => void runs.cancel(id).catch(() => {}));
  reply.header("x-run-id", id).header("location", `/runs/${id}`);
  if (isBackground) return reply.code(202).send(bodyOfRun(state));
  if (wantsEvents(request)) {
    await stream(service, reply, { id, after: 0, signal: client.signal });
    return reply;
  }
  const ended = await runs.settled(id);
  client.whenGone(undefined);
  return answerOfRun(reply, ended);
}

function readingRoutes(server: FastifyInstance, service: Service): void {
  const { runs } = service;
  server.get<{ Querystring: z.infer<typeof listed> }>(
    "/runs",
    {
      schema: { querystring: listed },
      config: {
        scope: "run",
        summary: "the latest runs of the key's principal; with state=waiting the runs whose waits the key may answer",
      },
    },
    async ({ key, query }) => {
      if (query.state === "waiting") return { runs: await waitingRuns(service, key, query.limit) };
      const all = await runs.list({
        principal: key.scopes.includes("operate") ? undefined : key.principal.id,
        flows: key.flows,
        status: query.state,
        limit: query.limit,
      });
      const seen = all.filter((run) => may(key, { to: "see", run }));
      return {
        runs: seen.map(({ id, flow, status, started, ended, input, spent }) => ({
          ...{ id, flow, status, started, ended, spent },
          about: beginningOfInput(input),
        })),
      };
    },
  );
  server.get<{ Params: { id: string } }>(
    "/runs/:id",
    { schema: { params: runId }, config: { scope: "run", summary: "a run: state, events, records" } },
    async ({ key, params: { id } }) => {
      const state = await find(service, key, id);
      const events = [];
      if (state.status !== "running") for await (const event of runs.events(id)) events.push(event);
      return { ...bodyOfRun(state), events, records: await runs.records(id) };
    },
  );
}

function eventRoutes(server: FastifyInstance, service: Service): void {
  const { runs } = service;
  server.get<{ Params: { id: string } }>(
    "/runs/:id/events",
    { schema: { params: runId }, config: { scope: "run", summary: "the events of a run, from Last-Event-ID on" } },
    async (request, reply) => {
      const { key, params, headers } = request;
      const signal = clientSignal(request, reply);
      const { id } = await find(service, key, params.id);
      const after = Math.max(0, Number.parseInt(String(headers["last-event-id"] ?? "0"), 10) || 0);
      await stream(service, reply, { id, after, signal });
      return reply;
    },
  );
  server.get<{ Params: { id: string; hash: string } }>(
    "/runs/:id/values/:hash",
    { schema: { params: runValue }, config: { scope: "run", summary: "a long value that an event of a run names" } },
    async ({ key, params: { id, hash } }, reply) => {
      await find(service, key, id);
      if (!runs.value) throw new TesseraError("NOT_FOUND", "events of this service hold their values");
      return reply.type("application/json").send(await runs.value(id, hash));
    },
  );
}

function changingRoutes(server: FastifyInstance, service: Service): void {
  const { runs } = service;
  server.post<{ Params: { id: string } }>(
    "/runs/:id/cancel",
    { schema: { params: runId }, config: { scope: "run", summary: "cancel a run" } },
    async ({ key, params: { id } }) => {
      await find(service, key, id);
      return bodyOfRun(await runs.cancel(id));
    },
  );
  server.post<{ Params: { id: string }; Body: z.infer<typeof resumeBody> }>(
    "/runs/:id/resume",
    {
      schema: { params: runId, body: resumeBody },
      config: {
        scope: "run",
        summary: "take a run up behind its last finished step, one that ended by its budget with more",
      },
    },
    async ({ key, params: { id }, body }) => bodyOfRun(await resumeRun(service, key, { id, ...body })),
  );
}
