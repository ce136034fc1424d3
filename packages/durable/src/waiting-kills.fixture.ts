// the child process of waiting-kills.test.ts: lives a run that waits, with records in PostgreSQL, until it is killed
import { appendFileSync } from "node:fs";
import { compile } from "@tessera/graph";
import { livesOf, waitingKind } from "@tessera/testkit/waiting-kind";
import { connectSteadily } from "./connection.js";
import { type PostgresRecords, postgresRecords } from "./records.js";

/** Lives a run to its end; every step that runs is noted in a file. */
export async function liveOn(records: PostgresRecords, id: string, ran: string, ms: number) {
  const { document, operators } = waitingKind({ ms, note: (path) => appendFileSync(ran, `${path}\n`) });
  const ready = await compile(document, { operators, records });
  return livesOf(ready, id, (await records.run(id)) !== undefined);
}

if (process.argv[2] === "live") {
  const [url, id, ran] = process.argv.slice(3) as [string, string, string];
  const connection = await connectSteadily(`${url}?application_name=${id}`, 0, 3);
  await liveOn(await postgresRecords(connection), id, ran, 3);
  await connection.close();
}
