import { type Json, type Records, type RunRecord, type StepRecord, TesseraError } from "@tessera/core";
import { fromJson, toJson } from "@tessera/graph";
import { createTables } from "./schema.js";

/** Runs statements with parameters: a pool of pg, or an instance of PGlite. */
export interface SqlConnection {
  query<R>(text: string, values?: unknown[]): Promise<{ rows: R[] }>;
}

/** Records in PostgreSQL, that several processes share. */
export interface PostgresRecords extends Records {
  /** Forgets the runs that began before a moment, and says how many there were. Only runs that have ended may go. */
  prune(before: Date): Promise<number>;
}

const schema = [
  "CREATE SCHEMA IF NOT EXISTS tessera",
  `CREATE TABLE IF NOT EXISTS tessera.run (
     id text PRIMARY KEY, record text NOT NULL, began timestamptz NOT NULL DEFAULT now())`,
  "CREATE TABLE IF NOT EXISTS tessera.step (key text PRIMARY KEY, record text NOT NULL)",
  `CREATE TABLE IF NOT EXISTS tessera.journal (
     run text NOT NULL REFERENCES tessera.run ON DELETE CASCADE, path text NOT NULL,
     key text NOT NULL REFERENCES tessera.step, PRIMARY KEY (run, path))`,
  "CREATE INDEX IF NOT EXISTS journal_key ON tessera.journal (key)",
];

// text of JSON, not jsonb: that would refuse a NUL within a string, and sort the members
const write = (value: unknown): string => JSON.stringify(toJson(value));

function read<T>(text: string, path: string): T {
  try {
    return fromJson(JSON.parse(text) as Json) as T;
  } catch (cause) {
    throw new TesseraError("RECORD_CORRUPT", "a record is damaged", { path, cause });
  }
}

/**
 * Records in the schema "tessera" of a database: `run`, `step` (by key) and `journal` (run, path → key). Each call is one
 * statement and so one transaction: it resolves once the server has committed.
 */
export async function postgresRecords(connection: SqlConnection): Promise<PostgresRecords> {
  await createTables(connection, schema);

  const forget = async (runs: readonly string[]): Promise<void> => {
    // the lock on the steps holds off a run that is about to use one: it then writes the step anew
    await connection.query(
      `WITH freed AS MATERIALIZED (
         SELECT key FROM tessera.step WHERE key IN (SELECT key FROM tessera.journal WHERE run = ANY($1::text[]))
           AND NOT EXISTS (SELECT FROM tessera.journal AS other
                           WHERE other.key = step.key AND other.run <> ALL($1::text[]))
         ORDER BY key FOR UPDATE),
       unlinked AS (DELETE FROM tessera.journal WHERE run = ANY($1::text[])),
       gone AS (DELETE FROM tessera.step USING freed WHERE step.key = freed.key)
       DELETE FROM tessera.run WHERE id = ANY($1::text[])`,
      [runs],
    );
  };

  return {
    async get(key) {
      const { rows } = await connection.query<{ record: string }>("SELECT record FROM tessera.step WHERE key = $1", [
        key,
      ]);
      return rows[0] && read<StepRecord>(rows[0].record, key);
    },
    async put(key, record) {
      await connection.query(
        `INSERT INTO tessera.step VALUES ($1, $2)
         ON CONFLICT (key) DO UPDATE SET record = excluded.record`,
        [key, write(record)],
      );
    },
    async begin(run) {
      await connection.query(
        `INSERT INTO tessera.run (id, record) VALUES ($1, $2)
         ON CONFLICT (id) DO UPDATE SET record = excluded.record`,
        [run.id, write(run)],
      );
    },
    async run(id) {
      const { rows } = await connection.query<{ record: string }>("SELECT record FROM tessera.run WHERE id = $1", [id]);
      return rows[0] && read<RunRecord>(rows[0].record, id);
    },
    async append(run, path, key) {
      await connection.query(
        `INSERT INTO tessera.journal VALUES ($1, $2, $3)
         ON CONFLICT (run, path) DO UPDATE SET key = excluded.key`,
        [run, path, key],
      );
    },
    async commit(run, path, key, record) {
      await connection.query(
        `WITH kept AS (INSERT INTO tessera.step VALUES ($3, $4)
                       ON CONFLICT (key) DO UPDATE SET record = excluded.record)
         INSERT INTO tessera.journal VALUES ($1, $2, $3)
         ON CONFLICT (run, path) DO UPDATE SET key = excluded.key`,
        [run, path, key, write(record)],
      );
    },
    async journal(run) {
      const { rows } = await connection.query<{ path: string; key: string }>(
        "SELECT path, key FROM tessera.journal WHERE run = $1",
        [run],
      );
      return new Map(rows.map(({ path, key }) => [path, key]));
    },
    // a run that took one of the steps up meanwhile keeps it: the second look sees that
    forget: (runs) => forget(runs).catch(() => forget(runs)),
    async prune(before) {
      const { rows } = await connection.query<{ id: string }>("SELECT id FROM tessera.run WHERE began < $1", [before]);
      for (let from = 0; from < rows.length; from += 100)
        await forget(rows.slice(from, from + 100).map(({ id }) => id));
      return rows.length;
    },
  };
}
