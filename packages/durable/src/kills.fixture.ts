// the child process of kills.test.ts: runs the flow of every kind, with records in PostgreSQL, until it is killed
import { appendFileSync } from "node:fs";
import { type CompiledFlow, compile } from "@tessera/graph";
import { everyKind, everyKindInput } from "@tessera/testkit/every-kind";
import { connectSteadily } from "./connection.js";
import { type PostgresRecords, postgresRecords } from "./records.js";

/** The flow; every step that runs is noted in a file. */
export function victimFlow(records: PostgresRecords, ran: string, ms: number): Promise<CompiledFlow> {
  const { flows, operators } = everyKind({ ms, note: (path) => appendFileSync(ran, `${path}\n`) });
  return compile(flows.every, { operators, records });
}

if (process.argv[2] === "run") {
  const [url, id, ran] = process.argv.slice(3) as [string, string, string];
  const connection = await connectSteadily(`${url}?application_name=${id}`, 0, 3);
  const ready = await victimFlow(await postgresRecords(connection), ran, 15);
  await ready.run(everyKindInput, { id, seed: 7 });
  await connection.close();
}
