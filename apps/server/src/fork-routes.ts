import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { runId } from "./run-answers.js";
import { answerStart, idempotency, runBody } from "./run-routes.js";
import { find, startFork } from "./run-starts.js";
import type { Service } from "./server.js";

const forkBody = z.strictObject({
  /** The path of a step, such as "ask/each[2]/approve". */
  at: z.string().min(1).max(4096),
  /** What the step gives, by port. */
  output: z.record(z.string(), z.any()).optional(),
  /** Another answer to a wait. */
  answer: z.any().optional(),
  /** The settings of the node, in place of its `with`. */
  config: z.record(z.string(), z.any()).optional(),
  /** The name of another operator for the node. */
  operator: z.string().min(1).max(200).optional(),
  seed: runBody.shape.seed,
  budget: runBody.shape.budget,
});
const pair = runId.extend({ other: runId.shape.id });

interface ForkRoute {
  Params: { id: string };
  Body: z.infer<typeof forkBody>;
  Headers: z.infer<typeof idempotency>;
}

/** Runs once more with a change, and the difference of two runs. */
export function forkRoutes(server: FastifyInstance, service: Service): void {
  server.post<ForkRoute>(
    "/runs/:id/fork",
    {
      schema: { params: runId, body: forkBody, headers: idempotency },
      config: {
        scope: "run",
        summary: "run once more with one change, and only what follows from it; answers as a run that is started",
      },
    },
    (request, reply) => {
      const { key, params, body, headers } = request;
      const { seed, budget, ...change } = body;
      const asked = { fork: { of: params.id, change }, budget, ...(seed !== undefined && { seed }) };
      return answerStart(service, { request, reply, idempotencyKey: headers["idempotency-key"] }, (how) =>
        startFork(service, key, { ...asked, ...how }),
      );
    },
  );
  server.get<{ Params: { id: string; other: string } }>(
    "/runs/:id/diff/:other",
    { schema: { params: pair }, config: { scope: "run", summary: "the steps in which two runs differ" } },
    async ({ key, params: { id, other } }) => {
      for (const run of [id, other]) await find(service, key, run);
      return service.tessera.diff(id, other);
    },
  );
}
