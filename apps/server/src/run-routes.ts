import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { type Sampling, TesseraError } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";
import type { Budget } from "@tessera/graph";
import { type RunState, resumed } from "@tessera/graph/internal";
import type { FlowHandle } from "@tessera/tessera";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { Client, clientSignal, readUntil } from "./client.js";
import { statuses } from "./errors.js";
import type { Key } from "./keys.js";
import { dataText } from "./live-run.js";
import type { Lease } from "./meter.js";
import { assertMay, assertMayUse, assertMayWrite, may } from "./rights.js";
import { named, type Service, writing } from "./server.js";

const count = z.int().nonnegative().max(Number.MAX_SAFE_INTEGER).optional();
const runBody = z.strictObject({
  input: z.record(z.string(), z.any()).default({}),
  /** What `context.random` is made from. */
  seed: z.int().optional(),
  budget: z.strictObject({ steps: count, calls: count, tokens: count }).optional(),
});
type RunBody = z.infer<typeof runBody>;
const resumeBody = z.strictObject({ budget: runBody.shape.budget });
const runId = z.object({ id: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/) });
const runValue = runId.extend({ hash: z.string().regex(/^[0-9a-f]{64}$/) });
const idempotency = z.looseObject({ "idempotency-key": z.string().min(1).max(256).optional() });

/** What a client asks for when it starts a run. */
export interface Asked extends Partial<RunBody> {
  readonly flow: string;
  /** What is asked of its language models. */
  readonly sampling?: Sampling | undefined;
  /** One key of one principal is one run. */
  readonly idempotencyKey?: string | undefined;
  /** A name for the run where no key makes one; by default a new one. */
  readonly id?: string | undefined;
  /** Nothing begins once it has aborted. */
  readonly signal?: Pick<AbortSignal, "throwIfAborted"> | undefined;
}

/** A flow for a key that may run it, and write what it writes. @throws TesseraError FORBIDDEN, NOT_FOUND */
async function flowToRun(service: Service, key: Key, name: string): Promise<FlowHandle> {
  const { library } = service;
  assertMay(key, { to: "run", flow: name });
  const flow = await library.flow(name);
  assertMayUse(key, flow, writing(service).indexOf);
  if (flow.writes.length > 0)
    await assertMayWrite(key, { ...writing(service), flow, isUploaded: library.isUploaded(name) });
  return flow;
}

/** Starts a run for a key: it counts against the key's places and budget until it ends. */
export async function startRun(service: Service, key: Key, asked: Asked): Promise<RunState> {
  const { runs, meter, starts } = service;
  const { flow: name, idempotencyKey, input, seed, sampling, budget, signal } = asked;
  const flow = await flowToRun(service, key, name);
  const id =
    idempotencyKey === undefined
      ? (asked.id ?? randomUUID())
      : sha256(JSON.stringify([key.principal.id, idempotencyKey]));
  const request = { id, flow: name, input: input ?? {}, principal: key.principal, seed, sampling, asked: budget ?? {} };
  const begin = async (known?: RunState) => {
    signal?.throwIfAborted();
    const lease = await meter.admit(key, { id, bound: flow.bound, budget, before: known?.spent });
    return leased(service, key, { id, lease }, () => runs.start({ ...request, budget: lease.budget }));
  };
  if (idempotencyKey === undefined) return begin();
  // of requests that come together the first one begins the run; the others find it, and take no place of their own
  return starts.do(id, async () => {
    const known = await runs.get(id);
    // one that is there and goes on, or has ended, spends nothing more
    return known && known.status !== "interrupted" ? runs.start(request) : begin(known);
  });
}

/** Begins something under a lease, which is given back when the run has ended, or did not begin. It ends with its key. */
async function leased(
  { runs, revocations }: Service,
  key: Key,
  { id, lease }: { readonly id: string; readonly lease: Lease },
  begin: () => Promise<RunState>,
): Promise<RunState> {
  try {
    const state = await begin();
    // one that has ended meanwhile cannot be cancelled, and need not be
    const forget = revocations.add(key.id, () => void runs.cancel(id).catch(() => {}));
    const release = (spent?: RunState["spent"]) => {
      forget();
      return lease.release(spent);
    };
    void runs.settled(id).then(
      ({ spent }) => release(spent),
      () => release(),
    );
    return state;
  } catch (error) {
    // another process may have begun the run of this id meanwhile, and settles what is set aside
    const known = await runs.get(id);
    if (known?.status === "running") lease.leave();
    else await lease.release(known?.spent ?? { calls: 0, tokens: 0 });
    throw error;
  }
}

/**
 * Takes a run up again, for a key: it counts as one that starts, less what it has spent. One that ended by its budget needs
 * a larger one, or more of the day than there was.
 */
function resumeRun(service: Service, key: Key, id: string, larger: Budget | undefined): Promise<RunState> {
  const { runs, meter, starts } = service;
  return starts.do(id, async () => {
    const state = await find(service, key, id);
    if (state.status !== "budget") resumed(state, undefined); // refused before anything is set aside
    const { bound } = await flowToRun(service, key, state.flow);
    const budget = larger ?? state.asked ?? state.budget;
    const lease = await meter.admit(key, { id, bound, budget, before: state.spent });
    return leased(service, key, { id, lease }, () => runs.resume(id, lease.budget));
  });
}

/** A run for a key that may see it. @throws TesseraError NOT_FOUND */
async function find({ runs }: Service, key: Key, id: string): Promise<RunState> {
  const state = await runs.get(id);
  if (!state) throw new TesseraError("NOT_FOUND", `there is no run "${id}"`);
  assertMay(key, { to: "see", run: state });
  return state;
}

/** States of older versions have a hash of the input besides. */
const bodyOfRun = ({ asked: _, ...state }: RunState) => {
  if ("inputHash" in state) delete state.inputHash;
  return state;
};

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
export function runRoutes(server: FastifyInstance, service: Service): void {
  const { runs } = service;
  server.post<{ Params: { name: string }; Body: RunBody; Headers: z.infer<typeof idempotency> }>(
    "/flows/:name/runs",
    {
      schema: { params: named, body: runBody, headers: idempotency },
      config: { scope: "run", summary: "run a flow: JSON, a stream of events, or 202 with Prefer: respond-async" },
    },
    async (request, reply) => {
      const { key, params, body, headers } = request;
      const idempotencyKey = headers["idempotency-key"];
      const isBackground = /\brespond-async\b/.test(String(request.headers.prefer ?? ""));
      // whoever gave no Idempotency-Key cannot come back for it
      const mayGo = isBackground || idempotencyKey !== undefined;
      const client = new Client(request, reply);
      const asked = { ...body, flow: params.name, idempotencyKey, ...(!mayGo && { signal: client }) };
      const state = await startRun(service, key, asked);
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
      const status = ended.error ? statuses[ended.error.code] : ended.status === "interrupted" ? 503 : 200;
      return reply.code(status).send(ended.error ? { ...ended.error, run: id } : bodyOfRun(ended));
    },
  );
  server.get<{ Querystring: { limit: number } }>(
    "/runs",
    {
      schema: { querystring: z.object({ limit: z.coerce.number().int().min(1).max(1000).default(50) }) },
      config: { scope: "run", summary: "the latest runs of the key's principal" },
    },
    async ({ key, query }) => {
      const all = await runs.list({
        principal: key.scopes.includes("operate") ? undefined : key.principal.id,
        flows: key.flows,
        limit: query.limit,
      });
      const seen = all.filter((run) => may(key, { to: "see", run }));
      return { runs: seen.map(({ id, flow, status, started, ended }) => ({ id, flow, status, started, ended })) };
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
    async ({ key, params: { id }, body: { budget } }) => bodyOfRun(await resumeRun(service, key, id, budget)),
  );
}
