// public: PostgresRecords, postgresRecords
import type { Records, RunRecord } from "@tessera/core";
import type {
  Charge,
  JournalEntry,
  RunJournal,
  Texts,
  ValueRefs,
  WaitNote,
  WaitNotes,
  WaitQuery,
} from "@tessera/core/internal";
import { assertRunId, fromLegacy, hashesIn, seal, sumOf, taken, unknownRun, unseal } from "@tessera/graph/internal";
import { createTables } from "./schema.js";
import type { SqlConnection } from "./sql.js";
import { DatabaseThreads, threadTables } from "./threads.js";

/** Records in PostgreSQL, which several processes share. */
export interface PostgresRecords extends Records {
  /** Removes the runs that began before a moment, and returns their number. Call it only for runs that have ended. */
  prune(before: Date): Promise<number>;
}

// lines are sealed text, not jsonb: that would refuse a NUL within a string, and sort the members
const schema = [
  "CREATE SCHEMA IF NOT EXISTS tessera",
  `CREATE TABLE IF NOT EXISTS tessera.begun (
     id text PRIMARY KEY, claim text NOT NULL, record text NOT NULL, began timestamptz NOT NULL DEFAULT now())`,
  "CREATE TABLE IF NOT EXISTS tessera.text (hash text PRIMARY KEY, text text NOT NULL)",
  `CREATE TABLE IF NOT EXISTS tessera.text_use (
     run text NOT NULL REFERENCES tessera.begun ON DELETE CASCADE,
     hash text NOT NULL REFERENCES tessera.text, PRIMARY KEY (run, hash))`,
  "CREATE INDEX IF NOT EXISTS text_use_hash ON tessera.text_use (hash)",
  `CREATE TABLE IF NOT EXISTS tessera.entry (
     run text NOT NULL REFERENCES tessera.begun ON DELETE CASCADE, path text NOT NULL,
     operator text NOT NULL, provisional boolean NOT NULL, entry text NOT NULL, PRIMARY KEY (run, path))`,
  `CREATE TABLE IF NOT EXISTS tessera.charge (
     run text NOT NULL REFERENCES tessera.begun ON DELETE CASCADE, attempt text NOT NULL,
     charge text NOT NULL, PRIMARY KEY (run, attempt))`,
  "CREATE TABLE IF NOT EXISTS tessera.cached (key text PRIMARY KEY, text text NOT NULL)",
  // one row a run that waits; "due" is in milliseconds since 1970
  `CREATE TABLE IF NOT EXISTS tessera.waiting (
     run text PRIMARY KEY REFERENCES tessera.begun ON DELETE CASCADE, flow text NOT NULL, principal text,
     since float8 NOT NULL, due float8, note text NOT NULL)`,
  "CREATE INDEX IF NOT EXISTS waiting_since ON tessera.waiting (since)",
  "CREATE INDEX IF NOT EXISTS waiting_due ON tessera.waiting (due) WHERE due IS NOT NULL",
  ...threadTables,
];

// $1 run, $2 hashes, $3 texts; what another run kept already stays, and what no run would use is not kept
const keeping = (where: "EXISTS" | "NOT EXISTS") => `
  kept AS (INSERT INTO tessera.text SELECT * FROM unnest($2::text[], $3::text[])
           WHERE ${where} (SELECT FROM tessera.begun WHERE id = $1) ON CONFLICT DO NOTHING)`;

const beginning = `
  WITH ${keeping("NOT EXISTS")},
  began AS (INSERT INTO tessera.begun (id, claim, record) VALUES ($1, $4, $5) ON CONFLICT DO NOTHING RETURNING id, claim),
  used AS (INSERT INTO tessera.text_use SELECT began.id, hash FROM began, unnest($2::text[]) AS hash)
  SELECT claim FROM began UNION ALL
  SELECT claim FROM tessera.begun WHERE id = $1 AND NOT EXISTS (SELECT FROM began)`;

const committing = `
  WITH ${keeping("EXISTS")},
  used AS (INSERT INTO tessera.text_use SELECT id, hash FROM tessera.begun, unnest($2::text[]) AS hash WHERE id = $1
           ON CONFLICT DO NOTHING),
  noted AS (INSERT INTO tessera.entry (run, path, operator, provisional, entry)
            SELECT id, $4::text, $5::text, $6::boolean, $7::text FROM tessera.begun WHERE id = $1
            ON CONFLICT (run, path) DO UPDATE
              SET operator = excluded.operator, provisional = excluded.provisional, entry = excluded.entry
              WHERE entry.provisional OR (entry.operator <> '' AND entry.operator <> excluded.operator)
            RETURNING entry)
  SELECT entry FROM noted UNION ALL
  SELECT entry FROM tessera.entry WHERE run = $1 AND path = $4 AND NOT EXISTS (SELECT FROM noted)`;

// where another run takes one of the texts up meanwhile, the reference from its use refuses the removal
const forgetting = `
  WITH freed AS MATERIALIZED (
    SELECT hash FROM tessera.text WHERE hash IN (SELECT hash FROM tessera.text_use WHERE run = ANY($1::text[]))
      AND NOT EXISTS (SELECT FROM tessera.text_use AS other WHERE other.hash = text.hash AND other.run <> ALL($1::text[]))
    ORDER BY hash FOR UPDATE),
  unused AS (DELETE FROM tessera.text_use WHERE run = ANY($1::text[])),
  gone AS (DELETE FROM tessera.text USING freed WHERE text.hash = freed.hash)
  DELETE FROM tessera.begun WHERE id = ANY($1::text[])`;

/** The hashes that refs name and their texts, in one order for all, so that no two writers wait for each other. */
function parallel(refs: readonly ValueRefs[], texts: Texts): [hashes: string[], texts: string[]] {
  const hashes = [...new Set(refs.flatMap(hashesIn))].sort();
  return [hashes, hashes.map((hash) => texts.get(hash)!)];
}

/**
 * Records in the schema "tessera" of a database: `begun` (runs), `entry` and `charge` (their journals), `text` (values by
 * content hash) with `text_use`, and `cached`. Each change is one statement and so one transaction: it resolves once the
 * server has committed, and may be sent twice.
 */
export async function postgresRecords(connection: SqlConnection): Promise<PostgresRecords> {
  await createTables(connection, schema);
  const { rows } = await connection.query<{ there: boolean }>(
    "SELECT to_regclass('tessera.journal') IS NOT NULL AS there",
    [],
  );
  return new DatabaseRecords(connection, rows[0]!.there);
}

/** A run that forgets a text while another takes it up makes one of the two fail; the second time it sees the other. */
const twice = <T>(work: () => Promise<T>): Promise<T> => work().catch(work);

class DatabaseRecords implements PostgresRecords {
  readonly #connection: SqlConnection;
  readonly waits: WaitNotes;
  readonly threads: DatabaseThreads;
  /** Whether the tables of the first layout are there. */
  readonly #hasLegacy: boolean;

  constructor(connection: SqlConnection, hasLegacy: boolean) {
    this.#connection = connection;
    this.#hasLegacy = hasLegacy;
    this.waits = new DatabaseNotes(connection);
    this.threads = new DatabaseThreads(connection);
  }

  async get(key: string): Promise<string | undefined> {
    const [found] = await this.#rows<{ text: string }>("SELECT text FROM tessera.cached WHERE key = $1", key);
    return found?.text;
  }

  async put(key: string, text: string): Promise<void> {
    const insert = "INSERT INTO tessera.cached VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET text = excluded.text";
    await this.#rows(insert, key, text);
  }

  async begin(run: RunRecord, texts: Texts): Promise<void> {
    assertRunId(run.id);
    if (this.#hasLegacy) await this.run(run.id);
    await this.#begin(run, texts);
  }

  async run(id: string): Promise<RunRecord | undefined> {
    assertRunId(id);
    const [found] = await this.#rows<{ record: string }>("SELECT record FROM tessera.begun WHERE id = $1", id);
    if (found) return unseal<RunRecord>(found.record, id);
    return this.#hasLegacy ? this.#bringOver(id) : undefined;
  }

  async commit(run: string, entry: JournalEntry, texts: Texts): Promise<JournalEntry> {
    const values = [...parallel([entry.output], texts), entry.path, entry.operator, entry.provisional ?? false];
    const write = () => this.#rows<{ entry: string }>(committing, run, ...values, seal(entry));
    const find = () =>
      this.#rows<{ entry: string }>("SELECT entry FROM tessera.entry WHERE run = $1 AND path = $2", run, entry.path);
    // the first statement does not see what came in at the same moment
    const standing = (await twice(write))[0] ?? (await find())[0];
    if (!standing) throw unknownRun(run);
    return unseal<JournalEntry>(standing.entry, entry.path);
  }

  async charge(run: string, attempt: string, charge: Charge): Promise<void> {
    const noted = await this.#rows(
      `INSERT INTO tessera.charge SELECT id, $2::text, $3::text FROM tessera.begun WHERE id = $1
       ON CONFLICT (run, attempt) DO UPDATE SET charge = excluded.charge RETURNING attempt`,
      run,
      attempt,
      seal(charge),
    );
    if (noted.length === 0) throw unknownRun(run);
  }

  async journal(run: string): Promise<RunJournal> {
    if (this.#hasLegacy) await this.run(run);
    const entries = new Map<string, JournalEntry>();
    for (const { path, entry } of await this.#rows<{ path: string; entry: string }>(
      "SELECT path, entry FROM tessera.entry WHERE run = $1",
      run,
    ))
      entries.set(path, unseal<JournalEntry>(entry, `${run}: ${path}`));
    const charges = await this.#rows<{ charge: string }>("SELECT charge FROM tessera.charge WHERE run = $1", run);
    return { entries, ...sumOf(charges.map(({ charge }) => unseal<Charge>(charge, run))) };
  }

  async texts(hashes: readonly string[]): Promise<Texts> {
    const found = await this.#rows<{ hash: string; text: string }>(
      "SELECT hash, text FROM tessera.text WHERE hash = ANY($1::text[])",
      hashes,
    );
    return new Map(found.map(({ hash, text }) => [hash, text]));
  }

  async forget(runs: readonly string[]): Promise<void> {
    await twice(() => this.#rows(forgetting, runs));
    if (this.#hasLegacy) await forgetLegacy(this.#connection, runs);
  }

  async prune(before: Date): Promise<number> {
    const began = ["begun", ...(this.#hasLegacy ? ["run"] : [])].map(
      (table) => `SELECT id FROM tessera.${table} WHERE began < $1`,
    );
    const old = await this.#rows<{ id: string }>(began.join(" UNION "), before);
    for (let from = 0; from < old.length; from += 100)
      await this.forget(old.slice(from, from + 100).map(({ id }) => id));
    return old.length;
  }

  async #rows<R>(text: string, ...values: unknown[]): Promise<R[]> {
    return (await this.#connection.query<R>(text, values)).rows;
  }

  async #begin(run: RunRecord, texts: Texts): Promise<void> {
    const values = [run.id, ...parallel([run.input, run.document], texts), run.claim, seal(run)];
    const find = () => this.#rows<{ claim: string }>("SELECT claim FROM tessera.begun WHERE id = $1", run.id);
    const [begun] = await twice(() => this.#rows<{ claim: string }>(beginning, ...values));
    if ((begun ?? (await find())[0])?.claim !== run.claim) throw taken(run.id);
  }

  /** Writes a run of the first layout into the tables of this one. */
  async #bringOver(id: string): Promise<RunRecord | undefined> {
    const old = await readLegacy(this.#connection, id);
    if (!old) return undefined;
    const { run, entries, texts } = fromLegacy(old);
    await this.#begin(run, texts);
    for (const entry of entries) await this.commit(id, entry, texts);
    return run;
  }
}

/** Notes of runs that wait, in the table "waiting". */
class DatabaseNotes implements WaitNotes {
  constructor(private readonly connection: SqlConnection) {}

  async note(note: WaitNote): Promise<void> {
    const { run, flow, principal, since, due } = note;
    await this.connection.query(
      `INSERT INTO tessera.waiting SELECT id, $2::text, $3::text, $4::float8, $5::float8, $6::text
       FROM tessera.begun WHERE id = $1
       ON CONFLICT (run) DO UPDATE SET since = excluded.since, due = excluded.due, note = excluded.note`,
      [run, flow, principal ?? null, since, due ?? null, JSON.stringify(note)],
    );
  }

  async remove(run: string): Promise<void> {
    await this.connection.query("DELETE FROM tessera.waiting WHERE run = $1", [run]);
  }

  async get(run: string): Promise<WaitNote | undefined> {
    return (await this.#notes("run = $1", [run]))[0];
  }

  list({ flow, principal, limit }: WaitQuery): Promise<WaitNote[]> {
    return this.#notes(
      "($1::text IS NULL OR flow = $1) AND ($2::text IS NULL OR principal = $2) ORDER BY since LIMIT $3::int",
      [flow ?? null, principal ?? null, limit],
    );
  }

  async due(at: number, limit: number): Promise<string[]> {
    return (await this.#notes("due > 0 AND due <= $1 ORDER BY due LIMIT $2::int", [at, limit])).map(({ run }) => run);
  }

  async next(): Promise<number | undefined> {
    const { rows } = await this.connection.query<{ due: number | null }>(
      "SELECT min(due) AS due FROM tessera.waiting WHERE due > 0",
      [],
    );
    return rows[0]?.due ?? undefined;
  }

  async left(): Promise<string[]> {
    return (await this.#notes("due = 0", [])).map(({ run }) => run);
  }

  async #notes(where: string, values: unknown[]): Promise<WaitNote[]> {
    const { rows } = await this.connection.query<{ note: string }>(
      `SELECT note FROM tessera.waiting WHERE ${where}`,
      values,
    );
    return rows.map(({ note }) => JSON.parse(note) as WaitNote);
  }
}

/** A run in the tables `run`, `journal` and `step` of the first layout. */
async function readLegacy(connection: SqlConnection, id: string) {
  const { rows: runs } = await connection.query<{ record: string }>("SELECT record FROM tessera.run WHERE id = $1", [
    id,
  ]);
  if (!runs[0]) return undefined;
  const { rows } = await connection.query<{ path: string; record: string }>(
    "SELECT path, record FROM tessera.journal JOIN tessera.step USING (key) WHERE run = $1",
    [id],
  );
  return { run: runs[0].record, steps: new Map(rows.map(({ path, record }) => [path, record])), path: id };
}

async function forgetLegacy(connection: SqlConnection, runs: readonly string[]): Promise<void> {
  await connection.query("DELETE FROM tessera.run WHERE id = ANY($1::text[])", [runs]);
  await connection.query(
    "DELETE FROM tessera.step WHERE NOT EXISTS (SELECT FROM tessera.journal WHERE key = step.key)",
  );
}
