import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { AnyTessera } from "../embedded-runs.js";
import { runId } from "../run-answers.js";
import type { Service } from "../server.js";
import type { DataFolder } from "./data-folder.js";
import { type AskedTuning, type Tune, Tunings } from "./tunings.js";

const isName = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/);
const count = z.int().min(1).max(10_000_000).optional();
const asked = z.strictObject({
  flow: isName,
  set: isName,
  /** Values of each setting; or a text as `tessera tune --set` takes it behind "=", such as "10..50:5". */
  settings: z
    .array(
      z.strictObject({
        at: z.string().min(1).max(500),
        values: z.union([z.string().min(1).max(10_000), z.array(z.any()).min(1).max(1000)]),
      }),
    )
    .min(1)
    .max(20),
  metric: z.string().min(1).max(100),
  smaller: z.boolean().optional(),
  runs: count,
  calls: count,
  seed: z.int().nonnegative().optional(),
});

const config = (summary: string) => ({ scope: "flows" as const, summary });

/** Searches of better values for the settings of a flow, on the data sets of the folder. */
export function tuneRoutes(
  server: FastifyInstance,
  { service, tessera, data, tune }: { service: Service; tessera: AnyTessera; data: DataFolder; tune: Tune },
): void {
  const tunings = new Tunings(service, tessera, tune);
  server.addHook("preClose", async () => tunings.close());
  server.get("/studio/tunings", { config: config("the searches of better settings, the latest first") }, ({ key }) => ({
    tunings: tunings.list(key).map(({ trials: _, result: __, ...state }) => state),
  }));
  server.post<{ Body: AskedTuning }>(
    "/studio/tunings",
    {
      schema: { body: asked },
      config: config("search better values for settings of a flow, on a data set of the folder"),
    },
    async ({ key, body }, reply) =>
      reply.code(202).send(await tunings.start(key, body, await data.questions(body.set))),
  );
  server.get<{ Params: { id: string } }>(
    "/studio/tunings/:id",
    { schema: { params: runId }, config: config("a search: how far it is, what was tried, what it came to") },
    async ({ key, params: { id } }) => tunings.find(key, id).state,
  );
  server.post<{ Params: { id: string } }>(
    "/studio/tunings/:id/cancel",
    { schema: { params: runId }, config: config("end a search") },
    async ({ key, params: { id } }) => {
      const search = tunings.find(key, id);
      search.cancel();
      return search.state;
    },
  );
}
