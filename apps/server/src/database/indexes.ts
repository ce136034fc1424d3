// internal: loaded where a database is given
import { type ChangeOptions, type Encoder, type Hit, type Passage, TesseraError } from "@tessera/core";
import { createTables } from "@tessera/durable/internal";
import { HashEncoder } from "@tessera/models";
import { PostgresStore, type SqlConnection, type SqlDatabase } from "@tessera/stores";
import type { Resources } from "@tessera/tessera";
import { storeThroughIndex } from "../index-store.js";
import {
  type FilePassages,
  type Indexes,
  type IndexStatistics,
  indexNamed,
  mergedResources,
  NamedIndexes,
  type ServedIndex,
} from "../indexes.js";
import type { SharedRevision } from "./revision.js";

/** An index in a store `postgres`, which serves as the sparse and, where the server has pgvector, as the dense one. */
class DatabaseIndex implements ServedIndex {
  constructor(
    readonly name: string,
    readonly store: PostgresStore,
    private readonly encoder: Encoder | undefined,
  ) {}

  async statistics(): Promise<IndexStatistics> {
    const { passages } = await this.store.statistics();
    await this.store.refresh();
    return { name: this.name, passages, revision: this.store.revision, encoder: this.encoder && "hash" };
  }

  get resources(): Resources {
    const store = storeThroughIndex(this.store, this);
    if (!this.encoder) return { store: { [`${this.name}.sparse`]: store } };
    return {
      store: { [`${this.name}.sparse`]: store, [`${this.name}.dense`]: store },
      encoder: { [`${this.name}.encoder`]: this.encoder },
    };
  }

  #vectors(passages: readonly Passage[]): Promise<Float32Array[]> | undefined {
    return this.encoder?.encode(
      passages.map(({ title = "", text }) => `${title}\n${text}`),
      { kind: "text" },
    );
  }

  async upsert(passages: readonly Passage[], how?: ChangeOptions): Promise<void> {
    await this.store.upsert(passages, await this.#vectors(passages), how);
  }

  async replace(files: FilePassages): Promise<number> {
    const passages = [...files.values()].flat();
    return this.store.replaceStarting([...files.keys()], passages, await this.#vectors(passages));
  }

  delete(ids: readonly string[], how?: ChangeOptions): Promise<void> {
    return this.store.delete(ids, how);
  }

  search(query: Parameters<ServedIndex["search"]>[0]): Promise<Hit[]> {
    return this.store.search(query);
  }
}

/** The indexes of services that share a database: the table `tessera.index`, and a store for each. */
export class DatabaseIndexes extends NamedIndexes<DatabaseIndex> implements Indexes {
  #closing: Promise<void> | undefined;

  private constructor(
    private readonly database: SqlDatabase,
    private readonly connection: SqlConnection,
    private readonly revision: SharedRevision,
  ) {
    super();
  }

  /** Closing them closes `database`, through which the stores ask. */
  static async open(
    database: SqlDatabase,
    connection: SqlConnection,
    revision: SharedRevision,
  ): Promise<DatabaseIndexes> {
    // a store's name has fewer letters than that of an index may have, and is never taken again
    await createTables(connection, [
      "CREATE TABLE IF NOT EXISTS tessera.index (name text PRIMARY KEY, number bigserial, vectors boolean NOT NULL)",
    ]);
    const indexes = new DatabaseIndexes(database, connection, revision);
    await indexes.load();
    return indexes;
  }

  /** Opens what other processes have made and closes what they removed; gives the resources that are new, and that are no more. */
  async load(): Promise<{ readonly added: Resources; readonly removed: Resources }> {
    const { rows } = await this.connection.query<{ name: string; number: string; vectors: boolean }>(
      "SELECT name, number, vectors FROM tessera.index",
    );
    const names = new Set(rows.map(({ name }) => name));
    const removed: Resources[] = [];
    for (const [name, index] of this.indexes)
      if (!names.has(name)) {
        this.indexes.delete(name);
        removed.push(index.resources);
        await index.store.close();
      }
    const added: Resources[] = [];
    for (const { name, number, vectors } of rows)
      if (!this.indexes.has(name)) added.push((await this.#openIndex(name, Number(number), vectors)).resources);
    return { added: mergedResources(added), removed: mergedResources(removed) };
  }

  async #openIndex(name: string, number: number, vectors: boolean): Promise<DatabaseIndex> {
    const encoder = vectors ? new HashEncoder() : undefined;
    const space = encoder && { space: encoder.space(), width: encoder.width };
    const store = await PostgresStore.open({ database: this.database, name: `index_${number}`, ...space });
    const index = new DatabaseIndex(name, store, encoder);
    this.indexes.set(name, index);
    return index;
  }

  async create(name: string): Promise<ServedIndex> {
    const { rows: offered } = await this.database.query("SELECT FROM pg_available_extensions WHERE name = 'vector'");
    const { rows } = await this.database.query<{ number: string; vectors: boolean }>(
      "INSERT INTO tessera.index (name, vectors) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING number, vectors",
      [name, offered.length > 0],
    );
    if (!rows[0]) throw new TesseraError("CONFLICT", `there is an index "${name}"`, { path: name });
    try {
      const index = await this.#openIndex(name, Number(rows[0].number), rows[0].vectors);
      await this.revision.changed();
      return index;
    } catch (error) {
      await this.connection.query("DELETE FROM tessera.index WHERE name = $1", [name]);
      throw error;
    }
  }

  async remove(name: string): Promise<void> {
    const { store } = indexNamed(this.indexes, name);
    this.indexes.delete(name);
    await this.connection.query("DELETE FROM tessera.index WHERE name = $1", [name]);
    await this.revision.changed();
    await store.drop();
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      for (const { store } of this.indexes.values()) await store.close();
      await this.database.close();
    })();
    return this.#closing;
  }
}
