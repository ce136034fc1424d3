import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { named } from "../route.js";
import { type DataFolder, mark, type QuestionRecord } from "./data-folder.js";

/** Runs that were made for the questions of a data set, by flow. */
const recorded = z.strictObject({
  flows: z
    .array(
      z.strictObject({
        flow: z.string(),
        runs: z.array(
          z.strictObject({
            id: z.string(),
            output: z.record(z.string(), z.any()).optional(),
            error: z.looseObject({ code: z.string(), message: z.string() }).optional(),
            spent: z.looseObject({ calls: z.number(), tokens: z.number() }),
            retrievals: z.number(),
            milliseconds: z.number(),
          }),
        ),
      }),
    )
    .min(1)
    .max(20),
});

/** Measures runs, as `measureRecorded` of @tessera/eval does. */
export type Measure = (
  questions: readonly QuestionRecord[],
  flows: z.infer<typeof recorded>["flows"],
) => object | Promise<object>;

type Named = { Params: z.infer<typeof named> };
const config = (summary: string) => ({ scope: "flows" as const, summary });

/** The data sets of the folder: their questions, answers that are marked right or wrong, and the measuring of runs. */
export function dataRoutes(
  server: FastifyInstance,
  data: DataFolder,
  { measure, tunes }: { measure?: Measure | undefined; tunes: boolean },
): void {
  server.get("/studio/data", { config: config("the data sets of the folder") }, async () => ({
    sets: await data.list(),
    measures: measure !== undefined,
    tunes,
  }));
  server.get<Named>(
    "/studio/data/:name",
    { schema: { params: named }, config: config("the questions of a data set") },
    async ({ params: { name } }) => ({ questions: await data.questions(name) }),
  );
  server.post<Named & { Body: z.infer<typeof mark> }>(
    "/studio/data/:name/marks",
    { schema: { params: named, body: mark }, config: config("mark an answer right or wrong") },
    ({ params: { name }, body }) => data.mark(name, body),
  );
  if (measure)
    server.post<Named & { Body: z.infer<typeof recorded> }>(
      "/studio/data/:name/measure",
      { schema: { params: named, body: recorded }, config: config("measure runs on the questions of a data set") },
      async ({ params: { name }, body: { flows } }) => measure(await data.questions(name), flows),
    );
}
