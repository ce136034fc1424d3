// public: PostgresSettings, PostgresStore
import { createHash } from "node:crypto";
import {
  type ChangeOptions,
  type Hit,
  type Passage,
  type Principal,
  type Store,
  type StoreQuery,
  TesseraError,
} from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import type { Language } from "@tessera/text";
import type { Bm25Settings } from "./bm25.js";
import { connectPostgres, type SqlConnection, type SqlDatabase } from "./database.js";
import { indexedText } from "./indexed-text.js";
import { factsOf } from "./passage-facts.js";
import { assertStoreName, assertTop, keepFresh, passagesAsJson, passagesInOrder } from "./passage-table.js";
import { Conditions } from "./postgres-filter.js";
import { migrate } from "./postgres-schema.js";
import { askedForms, counted, languagesIn, termOf } from "./postgres-words.js";
import { unitOf, type VectorSpace } from "./vectors.js";

/** The database and the name of a store, and how it is searched: by words, and with a `space` also by vectors. */
export interface PostgresSettings extends Bm25Settings, Partial<VectorSpace> {
  /** The URL of a server, or an open database, which stays open when the store closes. */
  readonly database: string | SqlDatabase;
  /** The name of the store within its database: lower-case letters, digits and _. */
  readonly name: string;
  /** How many candidates a search of the graph keeps; 128 by default. */
  readonly ef?: number;
  /**
   * How often the revision is read, in milliseconds, to see the writes of other processes; 1,000 by default, 0 for
   * never.
   */
  readonly refreshMs?: number;
}

const notKept = /[\0\p{Surrogate}]/u; // what PostgreSQL's text cannot hold
const atOnce = 500; // passages a statement
const ties = 16; // more than `top` that are looked at where the last places are equal

/**
 * Passages in PostgreSQL: for several processes, and for more passages than one machine holds. Vectors are searched by
 * cosine with pgvector's graph (HNSW). Words, in all their forms, are searched with the BM25 of `referenceBm25`, over a
 * full-text index whose statistics every write updates. The filter and the rights of the principal are
 * conditions of the statement. If the graph returns fewer passages than asked for, the admitted ones are compared one by
 * one. A query that has a vector is searched by vector.
 */
export class PostgresStore implements Store {
  #revision = "store.postgres:0";
  #open = true;
  readonly #stop: (() => void) | undefined;
  #languages: { readonly revision: string; readonly list: readonly Language[] } | undefined; // of the passages

  private constructor(
    private readonly database: SqlDatabase,
    private readonly owned: boolean,
    private readonly schema: string,
    private readonly vectors: VectorSpace | undefined,
    private readonly settings: Required<Pick<PostgresSettings, "k1" | "b" | "ef">> &
      Pick<PostgresSettings, "language" | "forms">,
    refreshMs: number,
  ) {
    this.#stop = keepFresh(this, refreshMs);
  }

  /** @throws TesseraError BAD_ARGUMENT, SPACE_MISMATCH, DEPENDENCY_MISSING, STORE_FAILED */
  static async open(settings: PostgresSettings): Promise<PostgresStore> {
    const { database, name, space, width, k1 = 1.2, b = 0.75, ef = 128, refreshMs = 1000, language, forms } = settings;
    assertStoreName(name);
    if ((space === undefined) !== (width === undefined))
      throw new TesseraError("BAD_ARGUMENT", "a space has a name and a width");
    if (width !== undefined && !(Number.isInteger(width) && width > 0 && width <= 16000))
      throw new TesseraError("BAD_ARGUMENT", `a width is a whole number from 1 to 16,000, not ${width}`);
    if (!Number.isInteger(ef) || ef < 1 || ef > 1000)
      throw new TesseraError("BAD_ARGUMENT", `ef is a whole number from 1 to 1,000, not ${ef}`);
    if (!(k1 >= 0 && Number.isFinite(k1)) || !(b >= 0 && b <= 1))
      throw new TesseraError("BAD_ARGUMENT", `k1 = ${k1}, b = ${b}`, { hint: "k1 is at least 0, b from 0 to 1" });
    const opened = typeof database === "string" ? await connectPostgres(database) : database;
    const schema = `tessera_${name}`;
    try {
      await told(migrate(opened, schema, { space, width }));
      const vectors = space !== undefined && width !== undefined ? { space, width } : undefined;
      const owned = typeof database === "string";
      const store = new PostgresStore(opened, owned, schema, vectors, { k1, b, ef, language, forms }, refreshMs);
      await store.refresh();
      return store;
    } catch (error) {
      if (typeof database === "string") await opened.close().catch(() => {});
      throw error;
    }
  }

  get revision(): string {
    return this.#revision;
  }

  get space(): string | undefined {
    return this.vectors?.space;
  }

  /** Reads the revision, which other processes may have changed. */
  async refresh(): Promise<void> {
    const { rows } = await told(this.database.query<{ revision: string }>(`SELECT revision FROM ${this.schema}.store`));
    this.#revision = rows[0]?.revision ?? this.#revision;
  }

  /** @throws TesseraError SPACE_MISMATCH, BAD_ARGUMENT, CLOSED, STORE_FAILED */
  async search(query: StoreQuery, signal?: AbortSignal): Promise<Hit[]> {
    this.#assertOpen();
    signal?.throwIfAborted();
    assertTop(query.top);
    const rows = await told(query.vector ? this.#near(query, query.vector) : this.#byWords(query));
    signal?.throwIfAborted();
    return rows.map(({ passage, score }, index) => ({
      passage: JSON.parse(passage) as Passage,
      score,
      provenance: [{ operator: "store.postgres", rank: index + 1, score }],
    }));
  }

  #near({ top, filter, principal }: StoreQuery, vector: Float32Array): Promise<Row[]> {
    if (!this.vectors) throw new TesseraError("BAD_ARGUMENT", "this store holds no vectors");
    const unit = written(unitOf(vector, this.vectors, "vector"));
    const conditions = new Conditions([unit]);
    const admitted = conditions.admits(filter, principal);
    const from = `FROM ${this.schema}.passage WHERE ${admitted}`;
    // the operator is the negative inner product, which for vectors of length 1 is the negative cosine
    const select = `SELECT id, passage, -(vector <#> $1::vector) AS score ${from} ORDER BY vector <#> $1::vector`;
    return this.database.transaction(async (connection) => {
      await connection.query(
        // before pgvector 0.8 a graph does not go on where a filter leaves too few: then all are compared, below
        `SELECT set_config('hnsw.ef_search', $1, true), (SELECT set_config('hnsw.iterative_scan', 'strict_order', true)
         FROM pg_extension WHERE extname = 'vector' AND string_to_array(extversion, '.')::int[] >= '{0,8}')`,
        [String(Math.min(1000, Math.max(this.settings.ef, top + ties)))],
      );
      const count = conditions.parameter(top + ties);
      const near = await connection.query<Row>(`${select} LIMIT ${count}`, conditions.values);
      const [last, next] = [near.rows[top - 1], near.rows.at(-1)];
      if (last && next && (near.rows.length < top + ties || last.score > next.score))
        return near.rows.sort(byScore).slice(0, top);
      // too few, or more equals than were looked at: every admitted passage is compared
      await connection.query("SELECT set_config('enable_indexscan', 'off', true)");
      return (await connection.query<Row>(`${select}, id LIMIT ${count}`, conditions.values)).rows.slice(0, top);
    });
  }

  async #byWords({ text = "", top, filter, principal }: StoreQuery): Promise<Row[]> {
    const languages = await this.#languagesNow();
    const asked = await askedForms(text, this.settings, { connection: this.database, schema: this.schema, languages });
    if (asked.length === 0) return [];
    const conditions = new Conditions([
      asked.map(({ word }) => word),
      asked.map(({ factor }) => factor),
      asked.map(({ word }) => lexeme(word)),
      [...new Set(asked.map(({ word }) => lexeme(word)))].join(" | "),
      this.settings.k1,
      this.settings.b,
      top,
      asked.map(({ group }) => group),
      asked.map(({ own }) => own),
    ]);
    const admitted = conditions.admits(filter, principal);
    const { rows } = await this.database.query<Row>(
      `WITH form AS MATERIALIZED (
         SELECT query.*, ln(1 + (store.passages - holders + 0.5) / (holders + 0.5)) AS idf,
                store.words::float8 / store.passages AS average
         FROM unnest($1::text[], $2::float8[], $3::text[], $8::int[], $9::boolean[])
              AS query (word, factor, lexeme, asked, own)
         JOIN ${this.schema}.term USING (word), ${this.schema}.store),
       most AS (SELECT asked, coalesce(min(idf) FILTER (WHERE own), min(idf)) AS idf FROM form GROUP BY asked),
       asked AS MATERIALIZED (
         SELECT word, lexeme::tsquery AS lexeme, average, sum(least(form.idf, most.idf) * factor) AS weight
         FROM form JOIN most USING (asked) GROUP BY word, lexeme, average)
       SELECT id, passage, score
       FROM ${this.schema}.passage, LATERAL (
         SELECT sum(weight * frequency * ($5::float8 + 1) /
                    (frequency + $5::float8 * (1 - $6::float8 + $6::float8 * length / average))) AS score
         FROM (SELECT weight, average, coalesce((frequencies ->> word)::float8, 1) AS frequency
               FROM asked WHERE words @@ lexeme) AS held) AS scored
       WHERE words @@ $4::tsquery AND score > 0 AND ${admitted}
       ORDER BY score DESC, id LIMIT $7::int`,
      conditions.values,
    );
    return rows;
  }

  /** The languages of the passages, which are read anew with each revision. */
  async #languagesNow(): Promise<readonly Language[]> {
    const revision = this.#revision;
    if (this.#languages?.revision !== revision)
      this.#languages = { revision, list: await languagesIn(this.database, this.schema) };
    return this.#languages.list;
  }

  async get(ids: readonly string[], principal?: Principal): Promise<(Passage | undefined)[]> {
    this.#assertOpen();
    const conditions = new Conditions([kept(ids)]);
    const { rows } = await told(
      this.database.query<Omit<Row, "score">>(
        `SELECT id, passage FROM ${this.schema}.passage
         WHERE id = ANY($1::text[]) AND ${conditions.admits(undefined, principal)}`,
        conditions.values,
      ),
    );
    const found = new Map(rows.map(({ id, passage }) => [id, passage]));
    return passagesInOrder(ids, found);
  }

  /**
   * Adds or replaces passages in one transaction: all of them or none.
   * @throws TesseraError SPACE_MISMATCH, BAD_ARGUMENT, CLOSED, STORE_FAILED
   */
  async upsert(passages: readonly Passage[], vectors?: readonly Float32Array[], how?: ChangeOptions): Promise<void> {
    this.#assertOpen();
    const { rows, change } = this.#rowsOf(passages, vectors);
    if (rows.size === 0) return;
    await this.#write(change, how, (connection) => this.#put(connection, rows));
  }

  /**
   * Puts passages in the place of all whose ids begin with one of some texts, in one transaction. Tells how many went and
   * did not come again.
   * @throws TesseraError SPACE_MISMATCH, BAD_ARGUMENT, CLOSED, STORE_FAILED
   */
  async replaceStarting(
    starts: readonly string[],
    passages: readonly Passage[],
    vectors?: readonly Float32Array[],
  ): Promise<number> {
    this.#assertOpen();
    const { rows, change } = this.#rowsOf(passages, vectors);
    let gone = 0;
    await this.#write(`${JSON.stringify(starts)}\n${change}`, {}, async (connection) => {
      const { rows: before } = await connection.query<{ id: string }>(
        `SELECT id FROM ${this.schema}.passage, unnest($1::text[]) AS start WHERE starts_with(id, start)`,
        [kept(starts)],
      );
      const ids = before.map(({ id }) => id).filter((id) => !rows.has(id));
      gone = ids.length;
      if (gone > 0) await this.#remove(connection, ids);
      return (rows.size > 0 && (await this.#put(connection, rows))) || gone > 0;
    });
    return gone;
  }

  /** Passages as rows, by id, and what tells this change from others. */
  #rowsOf(
    passages: readonly Passage[],
    vectors: readonly Float32Array[] | undefined,
  ): { readonly rows: ReadonlyMap<string, PassageRow>; readonly change: string } {
    const json = passagesAsJson(passages);
    if (this.vectors && passages.length !== (vectors?.length ?? 0))
      throw new TesseraError("BAD_ARGUMENT", `${passages.length} passages with ${vectors?.length ?? 0} vectors`);
    const rows = new Map<string, PassageRow>();
    for (const [index, passage] of passages.entries()) {
      const path = `passages[${index}]`;
      if (notKept.test(passage.id))
        throw new TesseraError("BAD_ARGUMENT", "PostgreSQL cannot keep this id: it has a NUL or half a character", {
          path,
        });
      const unit = this.vectors && unitOf(vectors?.[index], this.vectors, `vectors[${index}]`);
      const frequencies = counted(indexedText(passage));
      rows.set(passage.id, {
        id: passage.id,
        passage: json[index],
        ...factsOf(passage),
        words: [...frequencies.keys()],
        frequencies: Object.fromEntries([...frequencies].filter(([, count]) => count > 1)),
        length: [...frequencies.values()].reduce((sum, count) => sum + count, 0),
        ...(unit && { vector: written(unit) }),
      });
    }
    const change = createHash("sha256");
    for (const [index, row] of json.entries()) change.update(row).update(written(vectors?.[index] ?? []));
    return { rows, change: change.digest("hex") };
  }

  async #put(connection: SqlConnection, rows: ReadonlyMap<string, PassageRow>): Promise<boolean> {
    const all = [...rows.entries()];
    for (let from = 0; from < all.length; from += atOnce) {
      const part = all.slice(from, from + atOnce);
      await this.#remove(
        connection,
        part.map(([id]) => id),
      );
      await this.#insert(
        connection,
        part.map(([, row]) => row),
      );
    }
    return true;
  }

  async delete(ids: readonly string[], how?: ChangeOptions): Promise<void> {
    this.#assertOpen();
    await this.#write(`delete ${JSON.stringify(ids)}`, how, (connection) => this.#remove(connection, kept(ids)));
  }

  /** The number of passages, and the size of the store. */
  async statistics(): Promise<{ passages: number; words: number; terms: number; bytes: number }> {
    this.#assertOpen();
    const { rows } = await told(
      this.database.query<{ passages: number; words: number; terms: number; bytes: number }>(
        `SELECT passages::float8, words::float8, (SELECT count(*) FROM ${this.schema}.term)::float8 AS terms,
                pg_total_relation_size('${this.schema}.passage')::float8 AS bytes FROM ${this.schema}.store`,
      ),
    );
    return rows[0]!;
  }

  /** Removes the store and everything in it, and closes it. */
  async drop(): Promise<void> {
    this.#assertOpen();
    await told(this.database.query(`DROP SCHEMA ${this.schema} CASCADE`));
    await this.close();
  }

  /** @throws TesseraError CLOSED, STORE_FAILED */
  async check(): Promise<void> {
    this.#assertOpen();
    await this.refresh();
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#stop?.();
    if (this.owned) await this.database.close();
  }

  /** Writers come one after another: each locks the store's row until it has committed. */
  async #write(
    change: string,
    { idempotencyKey }: ChangeOptions = {},
    work: (connection: SqlConnection) => Promise<boolean>,
  ): Promise<void> {
    this.#revision = await told(
      this.database.transaction(async (connection) => {
        const { rows } = await connection.query<{ revision: string }>(
          `SELECT revision FROM ${this.schema}.store FOR UPDATE`,
        );
        const before = rows[0]!.revision;
        if (idempotencyKey !== undefined && !(await this.#isNew(connection, idempotencyKey))) return before;
        if (!(await work(connection))) return before;
        const digest = createHash("sha256").update(`${before}\n${change}`).digest("hex");
        const revision = `store.postgres:${digest.slice(0, 32)}`;
        await connection.query(`UPDATE ${this.schema}.store SET revision = $1`, [revision]);
        return revision;
      }),
    );
  }

  /** Keeps the key of a change with it, for 30 days; false where it was kept before: the change was made. */
  async #isNew(connection: SqlConnection, key: string): Promise<boolean> {
    await connection.query(`DELETE FROM ${this.schema}.made WHERE at < now() - interval '30 days'`);
    const { rows } = await connection.query(
      `INSERT INTO ${this.schema}.made (key) VALUES ($1) ON CONFLICT DO NOTHING RETURNING key`,
      [key],
    );
    return rows.length > 0;
  }

  /** Whether any was there. */
  async #remove(connection: SqlConnection, ids: readonly string[]): Promise<boolean> {
    const { rows } = await connection.query<{ passages: number }>(
      `WITH gone AS (DELETE FROM ${this.schema}.passage WHERE id = ANY($1::text[]) RETURNING words, length),
            lost AS (SELECT word, count(*) AS holders FROM gone, unnest(tsvector_to_array(words)) AS word GROUP BY word),
            fewer AS (UPDATE ${this.schema}.term SET holders = term.holders - lost.holders
                      FROM lost WHERE term.word = lost.word),
            total AS (SELECT count(*) AS passages, coalesce(sum(length), 0) AS words FROM gone),
            less AS (UPDATE ${this.schema}.store SET passages = store.passages - total.passages,
                     words = store.words - total.words FROM total)
       SELECT passages::int FROM total`,
      [ids],
    );
    return (rows[0]?.passages ?? 0) > 0;
  }

  async #insert(connection: SqlConnection, rows: readonly PassageRow[]): Promise<void> {
    const terms = [...new Set(rows.flatMap((row) => row.words))].map(termOf);
    const vector = this.vectors ? ["vector", `vector vector(${this.vectors.width})`] : undefined;
    await connection.query(
      `WITH given AS (
         SELECT * FROM json_to_recordset($1::json) AS row (id text, passage text, facts text[], numbers jsonb,
           access text[], words text[], frequencies jsonb, length int ${vector ? `, ${vector[1]}` : ""})),
       added AS (INSERT INTO ${this.schema}.passage
         SELECT id, passage, facts, numbers, access, array_to_tsvector(words), frequencies, length
                ${vector ? `, ${vector[0]}` : ""} FROM given),
       counted AS (SELECT word, count(*) AS holders FROM given, unnest(words) AS word GROUP BY word),
       held AS (INSERT INTO ${this.schema}.term AS term (word, holders, beginning, plain)
         SELECT word, holders, beginning, plain
         FROM counted JOIN json_to_recordset($2::json) AS letters (word text, beginning text, plain text) USING (word)
         ON CONFLICT (word) DO UPDATE SET holders = term.holders + excluded.holders)
       UPDATE ${this.schema}.store SET passages = passages + (SELECT count(*) FROM given),
         words = words + (SELECT coalesce(sum(length), 0) FROM given)`,
      [JSON.stringify(rows), JSON.stringify(terms)],
    );
  }

  #assertOpen(): void {
    if (!this.#open) throw new TesseraError("CLOSED", 'the store "store.postgres" is closed');
  }
}

interface Row {
  readonly id: string;
  /** As JSON. */
  readonly passage: string;
  readonly score: number;
}

/** A passage as it is written, with its facts and its vector. */
interface PassageRow {
  readonly id: string;
  readonly words: readonly string[];
  readonly [column: string]: unknown;
}

const byScore = (a: Row, b: Row): number => b.score - a.score || (a.id < b.id ? -1 : 1);

const kept = (ids: readonly string[]): string[] => ids.filter((id) => !notKept.test(id));

/** A vector as pgvector reads it. */
const written = (vector: Iterable<number>): string => `[${[...vector].join(",")}]`;

/** A word as a query of PostgreSQL's full-text search. */
const lexeme = (word: string): string => `'${word.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;

/** Errors of the database, as ours. */
async function told<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (TesseraError.is(cause)) throw cause;
    throw new TesseraError("STORE_FAILED", `the database refused: ${messageOf(cause)}`, { cause });
  }
}
