import { TesseraError } from "@tessera/core";
import type { SqlConnection, SqlDatabase } from "./database.js";

/** The statements that bring a store of the version before to this one; a version is never changed once it is out. */
const migrations: ((schema: string, width: number | undefined) => string[])[] = [
  (schema, width) => [
    `CREATE TABLE ${schema}.store (
       version int NOT NULL, space text, width int, revision text NOT NULL,
       passages bigint NOT NULL DEFAULT 0, words bigint NOT NULL DEFAULT 0)`,
    `INSERT INTO ${schema}.store (version, revision) VALUES (0, 'store.postgres:0')`,
    `CREATE TABLE ${schema}.passage (
       id text COLLATE "C" PRIMARY KEY, passage text NOT NULL, facts text[] NOT NULL, numbers jsonb NOT NULL,
       access text[] NOT NULL, words tsvector NOT NULL, frequencies jsonb NOT NULL, length int NOT NULL
       ${width === undefined ? "" : `, vector vector(${width}) NOT NULL`})`,
    `CREATE INDEX ON ${schema}.passage USING gin (facts, access)`,
    `CREATE INDEX ON ${schema}.passage USING gin (words)`,
    `CREATE TABLE ${schema}.term (word text COLLATE "C" PRIMARY KEY, holders int NOT NULL)`,
    // pgvector's graph takes at most 2,000 components; wider vectors are compared one by one
    ...(width === undefined || width > 2000
      ? []
      : [`CREATE INDEX ON ${schema}.passage USING hnsw (vector vector_ip_ops) WITH (m = 16, ef_construction = 128)`]),
  ],
  (schema) => [
    `CREATE TABLE ${schema}.made (key text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())`,
    `CREATE INDEX ON ${schema}.made (at)`,
  ],
];

/** Creates what a store needs, or brings it up to date; processes that start at the same time do it once. */
export function migrate(
  database: SqlDatabase,
  schema: string,
  { space, width }: { space?: string | undefined; width?: number | undefined },
): Promise<void> {
  return database.transaction(async (connection) => {
    await connection.query("SELECT pg_advisory_xact_lock(hashtext('tessera'), hashtext($1))", [schema]);
    if (width !== undefined) await needVectors(connection);
    await connection.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
    const { rows: tables } = await connection.query("SELECT 1 WHERE to_regclass($1) IS NOT NULL", [`${schema}.store`]);
    const known = async () =>
      (
        await connection.query<{ version: number; space: string | null; width: number | null }>(
          `SELECT version, space, width FROM ${schema}.store`,
        )
      ).rows[0];
    const before = tables.length > 0 ? await known() : undefined;
    if (before && before.version > migrations.length)
      throw new TesseraError("STORE_FAILED", `the tables are of version ${before.version}, made by a newer release`, {
        path: schema,
      });
    if (before && ((before.space ?? undefined) !== space || (before.width ?? undefined) !== width))
      throw new TesseraError("SPACE_MISMATCH", `the store holds "${before.space}" of width ${before.width}`, {
        path: schema,
        hint: "open it with the encoder that it was made with, or give the new one another name",
      });
    for (const statements of migrations.slice(before?.version ?? 0))
      for (const statement of statements(schema, width)) await connection.query(statement);
    await connection.query(`UPDATE ${schema}.store SET version = $1, space = $2, width = $3`, [
      migrations.length,
      space ?? null,
      width ?? null,
    ]);
  });
}

async function needVectors(connection: SqlConnection): Promise<void> {
  const { rows } = await connection.query<{ present: boolean; offered: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') AS present,
            EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector') AS offered`,
  );
  if (rows[0]?.present) return;
  if (!rows[0]?.offered)
    throw new TesseraError("DEPENDENCY_MISSING", "this PostgreSQL has no pgvector", {
      hint: "install the extension (postgresql-NN-pgvector), or open the store without a space for words alone",
    });
  await connection.query("CREATE EXTENSION IF NOT EXISTS vector");
}
