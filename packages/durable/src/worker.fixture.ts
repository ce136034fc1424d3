// a worker, as a process of its own: node worker.fixture.ts work <url> <milliseconds a step>
import { type CompiledFlow, compile } from "@tessera/graph";
import type { FlowRunner } from "@tessera/graph/internal";
import { everyKind } from "@tessera/testkit/every-kind";
import { connectSteadily } from "./connection.js";
import { postgresRecords } from "./records.js";
import { DurableRuns } from "./runs.js";

/** This process's part in the runs; with a concurrency of 0 it hands in and asks. Each step is noted in a table. */
export async function openWorker(url: string, ms: number, concurrency: number): Promise<DurableRuns> {
  const connection = await connectSteadily(url);
  const records = await postgresRecords(connection);
  const note = async (path: string, value: string) => {
    await connection.query("INSERT INTO ran (path, value) VALUES ($1, $2)", [path, value]);
  };
  const { flows, operators } = everyKind({ ms, note });
  const compiled = new Map<string, CompiledFlow>();
  for (const document of Object.values(flows))
    compiled.set(document.name, await compile(document, { operators, records }));
  const runner: FlowRunner = {
    flow: async (name) => compiled.get(name)!,
    stream: async (name, input, options) => compiled.get(name)!.stream(input, options),
    noteAnswer: async (run, path, value, options) => {
      const flow = compiled.get((await records.run(run))!.flow)!;
      return { goesOn: await flow.answer(run, { path, value }, options) };
    },
    noteSignal: async (run, name, value, options) => {
      const flow = compiled.get((await records.run(run))!.flow)!;
      return { goesOn: await flow.signal(run, { name, value }, options) };
    },
    forkStream: async (id, change, options) =>
      compiled.get((await records.run(id))!.flow)!.forkStream(id, change, options),
    resumeStream: async (id, options) => compiled.get((await records.run(id))!.flow)!.resumeStream(id, options),
  };
  return DurableRuns.open({ url, connection, records, runner, concurrency, leaseMs: 1500, pollMs: 100, attempts: 1 });
}

if (process.argv[2] === "work") {
  const runs = await openWorker(process.argv[3]!, Number(process.argv[4]), 8);
  process.once("SIGTERM", () => void runs.close(100).then(() => process.exit(0)));
}
