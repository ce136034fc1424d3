import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect } from "@jest/globals";
import { compile } from "@tessera/graph";
import {
  countOf,
  everyKind,
  everyKindInside,
  hasPostgres,
  everyKindInput as input,
  needs,
  PostgresServer,
} from "@tessera/testkit";
import { connectSteadily, type SteadyConnection } from "./connection.js";
import type { DurableRuns } from "./runs.js";
import { openWorker } from "./worker.fixture.js";

let server: PostgresServer;
let connection: SteadyConnection;
let runs: DurableRuns;
const workers: ChildProcess[] = [];

beforeAll(async () => {
  if (!hasPostgres) return;
  server = await PostgresServer.start();
  connection = await connectSteadily(server.url);
  await connection.query("CREATE TABLE ran (path text NOT NULL, value text NOT NULL)");
  runs = await openWorker(server.url, 0, 0);
  await connection.query("CREATE TABLE ends (run text NOT NULL)");
  await connection.query(`CREATE FUNCTION note_end() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO ends VALUES (NEW.id); RETURN NEW; END $$`);
  await connection.query(`CREATE TRIGGER ends AFTER UPDATE ON tessera.state FOR EACH ROW
    WHEN (OLD.ended IS NULL AND NEW.ended IS NOT NULL) EXECUTE FUNCTION note_end()`);
});

afterAll(async () => {
  if (!hasPostgres) return;
  for (const worker of workers) worker.kill("SIGKILL");
  await runs?.close(0);
  await connection?.close();
  await server?.remove();
});

function work(ms: number): ChildProcess {
  const worker = spawn(
    process.execPath,
    [
      "--conditions=@tessera/source",
      `--import=${new URL("../../../apps/setup/sources.mjs", import.meta.url)}`,
      "--disable-warning=ExperimentalWarning",
      "--disable-warning=DeprecationWarning", // DBOS 5.3 uses pg in a way that pg 9 will refuse
      fileURLToPath(new URL("worker.fixture.ts", import.meta.url)),
      "work",
      server.url,
      String(ms),
    ],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  workers.push(worker);
  return worker;
}

async function kill(worker: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => worker.on("exit", resolve));
  worker.kill("SIGKILL");
  await ended;
}

const ran = async (): Promise<string[]> =>
  (await connection.query<{ path: string }>("SELECT path FROM ran")).rows.map(({ path }) => path);

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** The output where nothing disturbs. */
async function undisturbed(): Promise<unknown> {
  const { flows, operators } = everyKind({ ms: 0, note: () => {} });
  return (await (await compile(flows.every, { operators })).run(input, { seed: 7 })).output;
}

const principal = { id: "ann" };
const withServer = needs(hasPostgres, "PostgreSQL is not installed");

describe("durable runs", () => {
  withServer(
    "killed within a step, an each, a repeat and a nested flow: the result is the undisturbed one, and no finished step runs again",
    async () => {
      const expected = await undisturbed();
      for (const [id, inside] of [
        ["in-step", undefined],
        ["in-each", everyKindInside.each],
        ["in-repeat", everyKindInside.repeat],
        ["in-nested", everyKindInside.nested],
      ] as const) {
        await connection.query("TRUNCATE ran");
        const first = work(120);
        await runs.start({ id, flow: "every", input, principal, seed: 7 });
        if (inside) await until(async () => Object.keys(await runs.records(id)).some((path) => inside.test(path)));
        else {
          await until(
            async () => (await connection.query("SELECT FROM tessera.begun WHERE id = $1", [id])).rows.length > 0,
          );
          await new Promise((resolve) => setTimeout(resolve, 40));
        }
        await kill(first);
        // what the killed worker had sent may still be written
        await new Promise((resolve) => setTimeout(resolve, 500));
        const finished = Object.keys(await runs.records(id));
        await connection.query("TRUNCATE ran");
        const second = work(5);
        const state = await runs.settled(id);
        expect([state.status, state.output]).toEqual(["done", expected]);
        const again = await ran();
        expect(again.length).toBeGreaterThan(0);
        expect(again.filter((path) => finished.includes(path))).toEqual([]);
        expect(new Set(again).size).toBe(again.length);
        await kill(second);
      }
    },
  );

  withServer("PostgreSQL is restarted in the middle: the run ends as if it had not been", async () => {
    await connection.query("TRUNCATE ran");
    const worker = work(150);
    await runs.start({ id: "restart", flow: "every", input, principal, seed: 7 });
    await until(async () => (await ran()).length >= 3);
    await server.down();
    await new Promise((resolve) => setTimeout(resolve, 500));
    await server.up();
    const state = await runs.settled("restart");
    expect([state.status, state.output]).toEqual(["done", await undisturbed()]);
    await kill(worker);
  });

  withServer(
    "two workers share a queue of hundreds of runs, and one is killed: each run ends exactly once",
    async () => {
      await connection.query("TRUNCATE ran, ends");
      const count = countOf({ usual: 200, long: 1_000 });
      const [first, second] = [work(2), work(2)];
      const id = (i: number) => `many-${i}`;
      for (let from = 0; from < count; from += 50)
        await Promise.all(
          Array.from({ length: 50 }, (_, i) =>
            runs.start({ id: id(from + i), flow: "one", input: { value: String(from + i) }, principal }),
          ),
        );
      await until(async () => (await ran()).length > 150);
      await kill(first);
      await until(async () => {
        const { rows } = await connection.query("SELECT FROM tessera.state WHERE id LIKE 'many-%' AND ended IS NULL");
        return rows.length === 0;
      });
      const { rows: ends } = await connection.query<{ run: string }>("SELECT run FROM ends");
      expect(ends.map(({ run }) => run).sort()).toEqual(Array.from({ length: count }, (_, i) => id(i)).sort());
      const { rows: states } = await connection.query<{ state: string }>(
        "SELECT state FROM tessera.state WHERE id LIKE 'many-%'",
      );
      expect(new Set(states.map(({ state }) => (JSON.parse(state) as { status: string }).status))).toEqual(
        new Set(["done"]),
      );
      // what was in flight at the moment of death may have run twice, nothing else
      expect((await ran()).length - count).toBeLessThanOrEqual(8);
      await kill(second);
    },
  );

  withServer(
    "a run is cancelled wherever it is worked on, is resumed, and is told from another by its input",
    async () => {
      const worker = work(150);
      await runs.start({ id: "cancelled", flow: "every", input, principal, seed: 7 });
      await expect(
        runs.start({ id: "cancelled", flow: "every", input: { ...input, value: "w" }, principal }),
      ).rejects.toMatchObject({ code: "CONFLICT" });
      await until(async () => Object.keys(await runs.records("cancelled")).length > 0);
      expect(await runs.cancel("cancelled")).toMatchObject({ status: "cancelled" });
      await expect(runs.cancel("cancelled")).rejects.toMatchObject({ code: "CONFLICT" });
      await expect(runs.cancel("nobody")).rejects.toMatchObject({ code: "NOT_FOUND" });
      await runs.resume("cancelled");
      const types: string[] = [];
      for await (const { type } of runs.events("cancelled")) types.push(type);
      expect(types.at(-1)).toBe("flow-end");
      expect((await runs.settled("cancelled")).output).toEqual(await undisturbed());
      await expect(runs.resume("cancelled")).rejects.toMatchObject({ code: "CONFLICT" });
      expect((await runs.list({ principal: "ann", limit: 1 }))[0]?.id).toBe("cancelled");
      expect(await runs.list({ principal: "bob", limit: 1 })).toEqual([]);
      await kill(worker);
    },
  );

  withServer(
    "a worker that closes leaves what takes longer to the others, and no finished step runs again",
    async () => {
      await connection.query("TRUNCATE ran");
      const first = work(200);
      await runs.start({ id: "left", flow: "every", input, principal, seed: 7 });
      await until(async () => Object.keys(await runs.records("left")).length >= 2);
      const ended = new Promise((resolve) => first.on("exit", resolve));
      first.kill("SIGTERM");
      await ended;
      expect((await runs.get("left"))?.status).toBe("running");
      const finished = Object.keys(await runs.records("left"));
      await connection.query("TRUNCATE ran");
      const second = work(5);
      expect((await runs.settled("left")).output).toEqual(await undisturbed());
      expect((await ran()).filter((path) => finished.includes(path))).toEqual([]);
      await kill(second);
    },
  );

  withServer("a run that ends every worker which takes it is given up", async () => {
    await runs.start({ id: "poison", flow: "one", input: { value: "poison" }, principal });
    let open = true;
    const settled = runs.settled("poison").finally(() => {
      open = false;
    });
    while (open) {
      const worker = work(1);
      await Promise.race([new Promise((resolve) => worker.on("exit", resolve)), settled]);
      if (!open) await kill(worker);
    }
    expect(await settled).toMatchObject({ status: "failed", error: { code: "INTERNAL", path: "poison" } });
  });

  withServer("what has ended long ago is forgotten, and nothing else", async () => {
    const { rows } = await connection.query<{ n: number }>(
      "SELECT count(*)::int AS n FROM tessera.state WHERE id NOT LIKE 'many-%'",
    );
    await connection.query("UPDATE tessera.state SET ended = now() - interval '9 days' WHERE id = 'left'");
    expect(await runs.prune({ runs: 1_000_000, ageMs: 7 * 86_400_000 })).toBe(1);
    expect(await runs.get("left")).toBeUndefined();
    expect(await runs.records("left")).toEqual({});
    const after = await connection.query<{ n: number }>(
      "SELECT count(*)::int AS n FROM tessera.state WHERE id NOT LIKE 'many-%'",
    );
    expect(after.rows[0]!.n).toBe(rows[0]!.n - 1);
  });
});
