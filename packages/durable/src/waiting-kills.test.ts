import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect } from "@jest/globals";
import { compile } from "@tessera/graph";
import { fourAtOnce, hasPostgres, killed, kills, linesOf, needs, PostgresServer } from "@tessera/testkit";
import { livesOf, waitingKind, waitingKindInput } from "@tessera/testkit/waiting-kind";
import { connectSteadily, type SteadyConnection } from "./connection.js";
import { type PostgresRecords, postgresRecords } from "./records.js";
import { liveOn } from "./waiting-kills.fixture.js";

const program = fileURLToPath(new URL("waiting-kills.fixture.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "tessera-waits-"));
let server: PostgresServer;
let connection: SteadyConnection;
let records: PostgresRecords;
beforeAll(async () => {
  if (!hasPostgres) return;
  server = await PostgresServer.start();
  connection = await connectSteadily(server.url);
  records = await postgresRecords(connection);
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await connection?.close();
  await server?.remove();
});
const withServer = needs(hasPostgres, "PostgreSQL is not installed");

/** What the run comes to where nothing disturbs, and how many steps it takes. */
async function undisturbed(): Promise<{ output: Readonly<Record<string, unknown>>; steps: number }> {
  const ran = join(folder, "calm");
  const { output } = await liveOn(records, "calm", ran, 0);
  return { output, steps: linesOf(ran).length };
}

/** The turns of a run's thread, and who works on it. */
async function threadOf(id: string) {
  const name = { owner: "", id: `t-${id}` };
  const turns = await records.threads!.turns(name, { limit: 9 });
  const thread = await records.threads!.get(name);
  return { turns: turns.map(({ user, assistant }) => [user, assistant]), open: thread?.open };
}

describe("a run that waits, on a thread, with records in PostgreSQL", () => {
  withServer(
    `its process is killed ${kills} times: no finished step runs again, nothing is asked twice, one turn is taken`,
    async () => {
      const { output, steps } = await undisturbed();
      await fourAtOnce(kills, async (index) => {
        const id = `kill-${index}`;
        const ran = join(folder, id);
        const words = ["live", server.url, id, ran];
        await killed({ program, words, ran, after: 1 + (index % steps), later: (index * 7) % 25 });
        // what it had sent may still be written
        const alive = "SELECT FROM pg_stat_activity WHERE application_name = $1";
        while ((await connection.query(alive, [id])).rows.length > 0);
        const finished = new Set((await records.journal(id)).entries.keys());
        const before = linesOf(ran);
        expect((await liveOn(records, id, ran, 0)).output).toEqual(output);
        const again = linesOf(ran).slice(before.length);
        expect(again.filter((path) => finished.has(path))).toEqual([]);
        expect(new Set(again).size).toBe(again.length);
        expect(await threadOf(id)).toEqual({ turns: [["q", output.text]], open: undefined });
      });
    },
  );

  withServer("PostgreSQL is restarted between a question and its answer, and while a step works", async () => {
    const { output } = await undisturbed();
    const { document, operators } = waitingKind({ ms: 100, note: () => {} });
    const ready = await compile(document, { operators, records });
    const first = ready.run(waitingKindInput, { id: "restart", thread: "t-restart" });
    await new Promise((resolve) => setTimeout(resolve, 50));
    await server.down();
    await server.up();
    expect((await first).status).toBe("waiting");
    await server.down();
    await server.up();
    expect((await livesOf(ready, "restart", true)).output).toEqual(output);
    expect(await threadOf("restart")).toEqual({ turns: [["q", output.text]], open: undefined });
  });
});
