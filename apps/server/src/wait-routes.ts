import type { Wait } from "@tessera/graph";
import type { RunState } from "@tessera/graph/internal";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import type { Key } from "./keys.js";
import { may } from "./rights.js";
import { answerOfRun, runId } from "./run-answers.js";
import { deliver } from "./run-starts.js";
import type { Service } from "./server.js";

/** What the wait is answered: any JSON that fits its schema, `null` too. */
const answerBody = z
  .strictObject({ answer: z.any() })
  .refine((body) => body.answer !== undefined, { path: ["answer"], message: "the answer is missing" });
const signalBody = z.strictObject({ value: z.any().default(null) });
const atPath = runId.extend({ path: z.string().min(1) });
const byName = runId.extend({ name: z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/) });

/** Whether a key may answer a wait of a run. */
export function mayAnswer(key: Key, run: RunState, { who }: Wait): boolean {
  if (key.flows && !key.flows.includes(run.flow)) return false;
  if (run.principal.id === key.principal.id || key.scopes.includes("operate")) return true;
  if (who?.groups?.some((group) => key.principal.groups?.includes(group))) return true;
  return who?.scope !== undefined && (key.scopes as readonly string[]).includes(who.scope);
}

/** The runs that wait, with what a key may answer of them. */
export async function waitingRuns({ runs }: Service, key: Key, limit: number) {
  const all = await runs.list({ status: "waiting", flows: key.flows, limit: 1000 });
  return all
    .map((run) => ({ run, waits: (run.waits ?? []).filter((wait) => mayAnswer(key, run, wait)) }))
    .filter(({ run, waits }) => waits.length > 0 || may(key, { to: "see", run }))
    .slice(0, limit)
    .map(({ run: { id, flow, status, started }, waits }) => ({ id, flow, status, started, waits }));
}

const isBackground = ({ headers: { prefer } }: FastifyRequest): boolean =>
  prefer !== undefined && /\brespond-async\b/.test(String(prefer));

async function answered(service: Service, request: FastifyRequest, reply: FastifyReply, state: RunState) {
  reply.header("x-run-id", state.id).header("location", `/runs/${state.id}`);
  if (isBackground(request)) return answerOfRun(reply, state, 202);
  return answerOfRun(reply, await service.runs.settled(state.id));
}

/** Answers and signals to runs. */
export function waitRoutes(server: FastifyInstance, service: Service): void {
  server.post<{ Params: { id: string; path: string }; Body: z.infer<typeof answerBody> }>(
    "/runs/:id/waits/:path",
    {
      schema: { params: atPath, body: answerBody },
      config: { scope: "run", summary: "answer what a run waits for at a path, and see what it comes to" },
    },
    async (request, reply) => {
      const { key, params, body } = request;
      const arrival = { path: params.path, value: body.answer };
      return answered(service, request, reply, await deliver(service, key, params.id, arrival));
    },
  );
  server.post<{ Params: { id: string; name: string }; Body: z.infer<typeof signalBody> }>(
    "/runs/:id/signals/:name",
    {
      schema: { params: byName, body: signalBody },
      config: { scope: "run", summary: "send a signal to a run, and see what it comes to" },
    },
    async (request, reply) => {
      const { key, params, body } = request;
      const arrival = { signal: params.name, value: body.value };
      return answered(service, request, reply, await deliver(service, key, params.id, arrival));
    },
  );
}
