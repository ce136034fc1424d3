import { workerData } from "node:worker_threads";
import { answerJobs } from "@tessera/core/internal";
import { driver, type Row, type SqliteJob } from "./sqlite-driver.js";

// The thread of a SqliteDatabase.

await answerJobs<SqliteJob, Row[]>(async () => {
  const { Database } = await driver()();
  const database = new Database(workerData as Uint8Array);
  database.run("PRAGMA query_only = ON");
  return ({ statement, rows }) => {
    const prepared = database.prepare(statement);
    try {
      const found: Row[] = [];
      while (found.length < rows && prepared.step()) found.push(prepared.getAsObject());
      return found;
    } finally {
      prepared.free();
    }
  };
});
