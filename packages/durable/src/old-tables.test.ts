// the tables that records of commit cf1deb2 made in a database, with the runs of its committed folder in them
import { readFileSync } from "node:fs";
import { afterAll, describe, expect } from "@jest/globals";
import { compile } from "@tessera/graph";
import { hasPostgres, needs, oldFlow, PostgresServer } from "@tessera/testkit";
import { connectSteadily } from "./connection.js";
import { postgresRecords } from "./records.js";
import type { SqlConnection } from "./sql.js";

const folder = new URL("../../graph/src/records/fixtures/cf1deb2/", import.meta.url);
const read = (path: string) => readFileSync(new URL(path, folder), "utf8");

/** The statements of that commit. */
const oldSchema = [
  "CREATE SCHEMA IF NOT EXISTS tessera",
  `CREATE TABLE IF NOT EXISTS tessera.run (
     id text PRIMARY KEY, record text NOT NULL, began timestamptz NOT NULL DEFAULT now())`,
  "CREATE TABLE IF NOT EXISTS tessera.step (key text PRIMARY KEY, record text NOT NULL)",
  `CREATE TABLE IF NOT EXISTS tessera.journal (
     run text NOT NULL REFERENCES tessera.run ON DELETE CASCADE, path text NOT NULL,
     key text NOT NULL REFERENCES tessera.step, PRIMARY KEY (run, path))`,
  "CREATE INDEX IF NOT EXISTS journal_key ON tessera.journal (key)",
];

async function fill(connection: SqlConnection): Promise<void> {
  for (const statement of oldSchema) await connection.query(statement);
  for (const id of ["cut", "whole"]) {
    await connection.query("INSERT INTO tessera.run VALUES ($1, $2)", [id, read(`runs/${id}/run.json`)]);
    for (const line of read(`runs/${id}/journal.tsv`).split("\n").filter(Boolean)) {
      const [path, key] = line.split("\t") as [string, string];
      await connection.query("INSERT INTO tessera.step VALUES ($1, $2) ON CONFLICT DO NOTHING", [
        key,
        read(`steps/${key.slice(0, 2)}/${key}.json`),
      ]);
      await connection.query("INSERT INTO tessera.journal VALUES ($1, $2, $3)", [id, path, key]);
    }
  }
}

let started: string[] = [];
const { document, operators, input } = oldFlow((path) => started.push(path));

let server: PostgresServer | undefined;
afterAll(() => server?.remove());

describe("tables of cf1deb2 in PostgreSQL", () => {
  needs(hasPostgres, "PostgreSQL is not installed")(
    "open: a run that had ended is replayed, one that was cut goes on, and both are forgotten",
    async () => {
      server = await PostgresServer.start();
      const connection = await connectSteadily(server.url);
      await fill(connection);
      const count = async (table: string) =>
        (await connection.query<{ n: number }>(`SELECT count(*)::int AS n FROM tessera.${table}`)).rows[0]!.n;
      const records = await postgresRecords(connection);
      const ready = await compile(document, { operators, records });
      const seed = (JSON.parse(read("runs/whole/run.json")) as { seed: number }).seed;
      const calm = async (value: string) =>
        (await (await compile(document, { operators })).run({ ...input, value }, { seed })).output;
      const [whole, cut] = [await calm("v"), await calm("w")];

      started = [];
      expect((await ready.replay("whole")).output).toEqual(whole);
      expect(started).toEqual([]);
      await expect(ready.run(input, { id: "whole" })).rejects.toMatchObject({ code: "CONFLICT" });
      const { output, spent } = await ready.resume("cut");
      expect(output).toEqual(cut);
      expect([started, spent.calls]).toEqual([["old/last"], 4]);
      // a second process, and the same again: what was brought over is there once
      started = [];
      const again = await compile(document, { operators, records: await postgresRecords(connection) });
      expect((await again.resume("cut")).output).toEqual(cut);
      expect(started).toEqual([]);

      expect(await records.prune(new Date(Date.now() - 60_000))).toBe(0);
      expect(await records.prune(new Date(Date.now() + 60_000))).toBe(2);
      for (const table of ["run", "step", "journal", "begun", "entry", "text"])
        expect([table, await count(table)]).toEqual([table, 0]);
      await fill(connection);
      // also one that nobody has asked for
      expect(await (await postgresRecords(connection)).prune(new Date(Date.now() + 60_000))).toBe(2);
      for (const table of ["run", "step", "journal", "begun"]) expect([table, await count(table)]).toEqual([table, 0]);
      await connection.close();
    },
  );
});
