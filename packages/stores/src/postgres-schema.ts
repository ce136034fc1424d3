import { TesseraError } from "@tessera/core";
import type { SqlConnection, SqlDatabase } from "./database.js";
import { termOf } from "./postgres-words.js";

/** A statement, or work that takes several. */
type Step = string | ((connection: SqlConnection) => Promise<void>);

/** The steps that bring a store of the version before to this one; a version is never changed once it is out. */
const migrations: ((schema: string, width: number | undefined) => Step[])[] = [
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
  (schema) => [
    `ALTER TABLE ${schema}.term ADD COLUMN beginning text COLLATE "C", ADD COLUMN plain text COLLATE "C"`,
    (connection) => describeTerms(connection, schema),
    `CREATE INDEX ON ${schema}.term (beginning)`,
  ],
];

/** Words that are described at once. */
const termsAtOnce = 5000;

/** Notes of the words that are there what finds their forms. */
async function describeTerms(connection: SqlConnection, schema: string): Promise<void> {
  let last = "";
  for (;;) {
    const { rows } = await connection.query<{ word: string }>(
      `SELECT word FROM ${schema}.term WHERE word > $1 ORDER BY word LIMIT ${termsAtOnce}`,
      [last],
    );
    if (rows.length === 0) return;
    last = rows.at(-1)!.word;
    await connection.query(
      `UPDATE ${schema}.term SET beginning = letters.beginning, plain = letters.plain
       FROM json_to_recordset($1::json) AS letters (word text, beginning text, plain text)
       WHERE term.word = letters.word`,
      [JSON.stringify(rows.map(({ word }) => termOf(word)))],
    );
  }
}

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
      for (const step of statements(schema, width))
        await (typeof step === "string" ? connection.query(step) : step(connection));
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
