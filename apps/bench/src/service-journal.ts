import { DBOS } from "@dbos-inc/dbos-sdk";
import { flow, operator, text } from "@tessera/core";
import { connectSteadily, postgresRecords } from "@tessera/durable";
import { compile } from "@tessera/graph";
import { z } from "zod";
import type { Report } from "./measure/report.js";
import { interleave, milliseconds, percentile } from "./measure/rounds.js";

const steps = 20;
const rounds = 25;

const nothing = operator({
  name: "bench.nothing",
  version: 1,
  about: { module: "data", submodule: "bench", summary: "Hands its input on." },
  config: z.strictObject({}),
  ports: { input: { value: text }, output: { value: text } },
  setup:
    () =>
    ({ value }) => ({ value }),
});

/** What the journal of a run costs on PostgreSQL, beside a step of DBOS: a line of 20 steps that do nothing. */
export default async function journal(report: Report): Promise<void> {
  const url = process.env.DATABASE_URL;
  if (!url) return report.miss("journal on PostgreSQL", "DATABASE_URL names no server");
  const connection = await connectSteadily(url);
  const records = await postgresRecords(connection);
  const { document } = flow("line", { value: "text" }, (f, input) => {
    let last = input.value;
    for (let step = 0; step < steps; step++) last = f.node(`step${step}`, nothing(), { value: last }).value;
    return { value: last };
  });
  const ready = await compile(document, { operators: [nothing], records });
  const workflow = DBOS.registerWorkflow(
    async (value: string) => {
      let last = value;
      for (let step = 0; step < steps; step++) last = await DBOS.runStep(async () => last, { name: `step${step}` });
      return last;
    },
    { name: "bench.line" },
  );
  DBOS.setConfig({ name: "bench", systemDatabaseUrl: url, logLevel: "error" });
  await DBOS.launch();
  let run = 0;
  try {
    const figures = await interleave(
      {
        // each input is new, so that no record is there before
        "journal on PostgreSQL": async () =>
          (await milliseconds(() => ready.run({ value: `${Date.now()}-${run++}` }))) / steps,
        "DBOS step": async () =>
          (await milliseconds(async () => (await DBOS.startWorkflow(workflow)(`${run++}`)).getResult())) / steps,
      },
      rounds,
    );
    const [ours, theirs] = Object.entries(figures).map(([name, samples]) => {
      const median = percentile(samples, 0.5);
      report.add(name, "a step", median, "ms");
      return median;
    });
    report.add("journal on PostgreSQL", "times a DBOS step (at most 1.1)", ours! / theirs!, "×");
  } finally {
    await DBOS.shutdown();
    await connection.close();
  }
}
