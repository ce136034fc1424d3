import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect } from "@jest/globals";
import { compile } from "@tessera/graph";
import {
  everyKind,
  everyKindInput,
  fourAtOnce,
  hasPostgres,
  killed,
  kills,
  linesOf,
  needs,
  PostgresServer,
} from "@tessera/testkit";
import { connectSteadily } from "./connection.js";
import { victimFlow } from "./kills.fixture.js";
import { postgresRecords } from "./records.js";

const program = fileURLToPath(new URL("kills.fixture.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "tessera-kills-"));
let server: PostgresServer | undefined;
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server?.remove();
});

describe("records in PostgreSQL", () => {
  needs(hasPostgres, "PostgreSQL is not installed")(
    `a process is killed ${kills} times: no finished step runs again, and the result is the undisturbed one`,
    async () => {
      server = await PostgresServer.start();
      const { url } = server;
      const connection = await connectSteadily(url);
      const records = await postgresRecords(connection);
      const { flows, operators } = everyKind({ ms: 0, note: () => {} });
      const calm = await (await compile(flows.every, { operators })).run(everyKindInput, { seed: 7 });
      await fourAtOnce(kills, async (index) => {
        const id = `kill-${index}`;
        const [before, after] = [join(folder, `${id}.before`), join(folder, `${id}.after`)];
        const words = ["run", url, id, before];
        await killed({ program, words, ran: before, after: 1 + (index % 9), later: (index * 7) % 20 });
        // what it had sent may still be written
        const alive = "SELECT FROM pg_stat_activity WHERE application_name = $1";
        while ((await connection.query(alive, [id])).rows.length > 0);
        const { entries } = await records.journal(id);
        const { output } = await (await victimFlow(records, after, 0)).resume(id);
        expect(output).toEqual(calm.output);
        expect(linesOf(after).filter((path) => entries.has(path))).toEqual([]);
        const { entries: whole } = await records.journal(id);
        expect(entries.size + linesOf(after).length).toBeGreaterThanOrEqual(whole.size - 2); // "elements" and "end" note nothing
      });
      await connection.close();
    },
  );
});
