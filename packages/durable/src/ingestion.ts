// public: IngestionSettings, IngestionReport, IngestedFile, ingest, ingestFlow
import { randomUUID } from "node:crypto";
import { type FlowDocument, type Store, TesseraError } from "@tessera/core";
import type { RunState, Runs } from "@tessera/graph/internal";
import type { SteadyConnection } from "./connection.js";
import { createTables } from "./schema.js";
import type { SqlConnection } from "./sql.js";

/** A file of a corpus: its path within the folder, and the hash of its content. */
export interface IngestedFile {
  readonly path: string;
  readonly hash: string;
}

/** What is indexed, and by which runs. */
export interface IngestionSettings {
  /** Starts the runs; workers of the same queue execute them, in this process or in others. */
  readonly runs: Runs;
  readonly connection: SteadyConnection;
  /** The name of the index. */
  readonly name: string;
  /** All files of the corpus as they are now. A file that is missing here leaves the index. */
  readonly files: readonly IngestedFile[];
  /** The stores that the flow writes. Passages that a file has no more are deleted from them. */
  readonly stores: readonly Store[];
  /** The name of the flow, as the workers know it; "ingest" by default. See `ingestFlow`. */
  readonly flow?: string | undefined;
  /**
   * Of what the passages depend beside the files: the encoder, the chunker. If it differs from that of the last time, every file is
   * indexed again.
   */
  readonly revision?: string | undefined;
  /** How many files one run indexes; 16 by default. */
  readonly filesPerRun?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ((done: number, total: number) => void) | undefined;
}

/** What an ingestion did; counts of files. */
export interface IngestionReport {
  readonly seen: number;
  readonly indexed: number;
  readonly removed: number;
  /** Files that gave no text, and why. */
  readonly skipped: readonly { readonly path: string; readonly reason: string; readonly detail?: string | undefined }[];
}

const schema = [
  "CREATE SCHEMA IF NOT EXISTS tessera",
  `CREATE TABLE IF NOT EXISTS tessera.ingested (
     index text NOT NULL, path text NOT NULL, hash text NOT NULL, ids jsonb NOT NULL, skipped jsonb NOT NULL,
     PRIMARY KEY (index, path))`,
  // what was handed in and not yet noted: taken up first by whoever goes on
  "CREATE TABLE IF NOT EXISTS tessera.ingesting (index text NOT NULL, run text PRIMARY KEY, files jsonb NOT NULL)",
  "CREATE INDEX IF NOT EXISTS ingesting_index ON tessera.ingesting (index)",
];

/**
 * The flow that indexes some files: it reads them from the folder "source", cuts them, and writes the passages to the store
 * "sparse" and, with the vectors of the encoder "encoder", to the store "dense". A worker that has another flow under the name
 * gives it an input `paths`, an output `documents` as of `indexer.write`, and an output `skipped` as of `indexer.read-files`.
 */
export const ingestFlow: FlowDocument = {
  version: 1,
  name: "ingest",
  input: { paths: { list: "text" } },
  nodes: {
    read: { run: "indexer.read-files", with: { folder: "source" }, in: { paths: "input.paths" } },
    cut: { run: "indexer.code", in: { documents: "read.documents" } },
    words: { run: "indexer.write", with: { store: "sparse" }, in: { passages: "cut.passages" } },
    vectors: { run: "indexer.write", with: { store: "dense", encoder: "encoder" }, in: { passages: "cut.passages" } },
  },
  output: { documents: "words.documents", skipped: "read.skipped", vectors: "vectors.written" },
};

interface Batch {
  readonly run: string;
  readonly files: readonly IngestedFile[];
}

interface Known extends IngestedFile {
  readonly ids: readonly string[];
  readonly skipped: IngestionReport["skipped"];
}

/**
 * Brings an index in a database up to date with a corpus, by durable runs of some files each. A file whose content is known is
 * not read again. The database knows which run indexes which files before the run starts, and a finished step of a run never
 * runs again. So each content of a file is indexed once, whichever worker dies, and also where this process ends and `ingest` is
 * called again. Two ingestions of one index at the same time do the same work twice.
 * @throws TesseraError what a run failed of, STORE_FAILED
 */
export async function ingest(settings: IngestionSettings): Promise<IngestionReport> {
  await createTables(settings.connection, schema);
  return new Ingestion(settings).run();
}

class Ingestion {
  constructor(private readonly settings: IngestionSettings) {}

  async run(): Promise<IngestionReport> {
    const { files, signal } = this.settings;
    signal?.throwIfAborted();
    // what was under way when the last one ended
    const before = await this.known();
    await this.work(await this.open(), before);
    const known = await this.known();
    const wanted = new Map(files.map((file) => [file.path, this.keyOf(file)]));
    const changed = files.filter(({ path }) => known.get(path)?.hash !== wanted.get(path));
    await this.work(await this.plan(changed), known);
    const gone = [...known.values()].filter(({ path }) => !wanted.has(path));
    await this.remove(gone);
    const now = await this.known();
    const skipped = [...now.values()].flatMap((file) => file.skipped);
    return { seen: files.length, indexed: changed.length, removed: gone.length, skipped };
  }

  private get name(): string {
    return this.settings.name;
  }

  private keyOf({ hash }: IngestedFile): string {
    return `${this.settings.revision ?? ""} ${hash}`;
  }

  private async known(): Promise<Map<string, Known>> {
    const { rows } = await this.settings.connection.query<Known>(
      "SELECT path, hash, ids, skipped FROM tessera.ingested WHERE index = $1",
      [this.name],
    );
    return new Map(rows.map((row) => [row.path, row]));
  }

  private async open(): Promise<Batch[]> {
    const { rows } = await this.settings.connection.query<Batch>(
      "SELECT run, files FROM tessera.ingesting WHERE index = $1 ORDER BY run",
      [this.name],
    );
    return rows;
  }

  /** Notes which run indexes which files, before the first of them starts. */
  private async plan(files: readonly IngestedFile[]): Promise<Batch[]> {
    const { filesPerRun = 16, connection } = this.settings;
    const batches: Batch[] = [];
    for (let from = 0; from < files.length; from += filesPerRun) {
      const part = files.slice(from, from + filesPerRun).map((file) => ({ path: file.path, hash: this.keyOf(file) }));
      batches.push({ run: `ingest-${this.name}-${randomUUID()}`, files: part });
    }
    await connection.query(
      `INSERT INTO tessera.ingesting (index, run, files)
       SELECT $1, run, files FROM jsonb_to_recordset($2::jsonb) AS batch (run text, files jsonb)
       ON CONFLICT DO NOTHING`,
      [this.name, JSON.stringify(batches)],
    );
    return batches;
  }

  /** Hands all in, and notes each when it has ended. */
  private async work(batches: readonly Batch[], known: ReadonlyMap<string, Known>): Promise<void> {
    const { runs, signal, progress, flow = "ingest" } = this.settings;
    const total = batches.reduce((sum, { files }) => sum + files.length, 0);
    let done = 0;
    for (const { run, files } of batches) {
      signal?.throwIfAborted();
      const input = { paths: files.map(({ path }) => path) };
      const { status } = await runs.start({ id: run, flow, input, principal: { id: "ingestion" } });
      // one that failed before is tried again behind its last finished step
      if (status === "failed" || status === "cancelled" || status === "interrupted") await runs.resume(run);
    }
    for (const batch of batches) {
      const state = await this.settled(batch.run);
      await this.note(batch, state, known);
      done += batch.files.length;
      progress?.(done, total);
    }
  }

  private async settled(run: string): Promise<RunState> {
    const { runs, signal } = this.settings;
    const state = await runs.settled(run);
    signal?.throwIfAborted();
    if (state.status === "done") return state;
    const { code = "NODE_FAILED", message = `the run ended as ${state.status}`, path, hint } = state.error ?? {};
    throw new TesseraError(code as "NODE_FAILED", message, { path: path ?? run, hint });
  }

  /** Deletes what the files have no more, and then notes what they have. What is under way is noted once, or found again. */
  private async note({ run, files }: Batch, state: RunState, known: ReadonlyMap<string, Known>): Promise<void> {
    const output = state.output as unknown as {
      documents: readonly { path: string; ids: readonly string[] }[];
      skipped: IngestionReport["skipped"];
    };
    const ids = new Map(output.documents.map((document) => [document.path, document.ids]));
    const kept = new Set(output.documents.flatMap((document) => document.ids));
    const stale = files.flatMap(({ path }) => known.get(path)?.ids ?? []).filter((id) => !kept.has(id));
    await this.forget(stale, run);
    const rows = files.map(({ path, hash }) => ({
      path,
      hash,
      ids: ids.get(path) ?? [],
      skipped: output.skipped.filter((one) => one.path === path),
    }));
    await this.settings.connection.transaction(async (connection) => {
      await connection.query(
        `INSERT INTO tessera.ingested (index, path, hash, ids, skipped)
         SELECT $1, path, hash, ids, skipped
         FROM jsonb_to_recordset($2::jsonb) AS file (path text, hash text, ids jsonb, skipped jsonb)
         ON CONFLICT (index, path) DO UPDATE SET hash = excluded.hash, ids = excluded.ids, skipped = excluded.skipped`,
        [this.name, JSON.stringify(rows)],
      );
      await connection.query("DELETE FROM tessera.ingesting WHERE run = $1", [run]);
    });
  }

  private async remove(files: readonly Known[]): Promise<void> {
    if (files.length === 0) return;
    await this.forget(files.flatMap(({ ids }) => ids));
    const { connection } = this.settings;
    await (connection as SqlConnection).query(
      "DELETE FROM tessera.ingested WHERE index = $1 AND path = ANY($2::text[])",
      [this.name, files.map(({ path }) => path)],
    );
  }

  /** Ids are deleted again where that was broken off: it is the same twice. */
  private async forget(ids: readonly string[], run?: string): Promise<void> {
    if (ids.length === 0) return;
    for (const store of this.settings.stores)
      await store.delete(ids, run === undefined ? {} : { idempotencyKey: `${run}:stale` });
  }
}
