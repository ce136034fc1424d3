// public: SqliteSettings, SqliteDatabase
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { type Database, type Json, TesseraError } from "@tessera/core";
import { messageOf, Thread, ThreadQueue } from "@tessera/core/internal";
import { driver, type Row, type SqliteJob } from "./sqlite-driver.js";

/** The limits of what a statement may do. */
export interface SqliteSettings {
  /** The longest that a statement may take, in milliseconds; 10,000. */
  readonly timeoutMs?: number | undefined;
  /** Functions that a statement may call besides those of SQLite that only read. */
  readonly functions?: readonly string[] | undefined;
}

/**
 * A SQLite file as a "database" resource that statements of a model may read. It runs in a worker on a copy in memory,
 * so that no statement can write to the file or stall the process; one that takes longer than `timeoutMs` is ended.
 * @throws TesseraError DEPENDENCY_MISSING, STORE_FAILED where the file cannot be read or a statement fails or times out.
 */
export class SqliteDatabase implements Database {
  readonly dialect = "sqlite";
  readonly revision: string;
  readonly functions: readonly string[];
  private readonly queue: ThreadQueue<SqliteJob, Row[]>;

  constructor(bytes: Uint8Array, { timeoutMs = 10_000, functions = [] }: SqliteSettings = {}) {
    this.functions = functions;
    driver();
    this.revision = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
    this.queue = new ThreadQueue({
      threads: 1,
      start() {
        const worker = new Worker(new URL("./sqlite-worker.js", import.meta.url), { workerData: bytes });
        return new Thread(worker, { name: "the thread of the database", code: "STORE_FAILED" });
      },
      limitMs: () => timeoutMs,
      late() {
        throw new TesseraError("STORE_FAILED", `the statement took longer than ${timeoutMs} ms`);
      },
    });
  }

  static open(path: string, settings?: SqliteSettings): SqliteDatabase {
    try {
      return new SqliteDatabase(readFileSync(path), settings);
    } catch (cause) {
      if (TesseraError.is(cause)) throw cause;
      throw new TesseraError("STORE_FAILED", "the database cannot be read", { path, cause });
    }
  }

  /**
   * A database in memory that a script of statements makes.
   * @throws TesseraError DEPENDENCY_MISSING, STORE_FAILED where a statement of it fails.
   */
  static async create(script: string, settings?: SqliteSettings): Promise<SqliteDatabase> {
    const made = new (await driver()()).Database();
    try {
      made.run(script);
      return new SqliteDatabase(made.export(), settings);
    } catch (cause) {
      if (TesseraError.is(cause)) throw cause;
      throw new TesseraError("STORE_FAILED", messageOf(cause), { cause });
    } finally {
      made.close();
    }
  }

  async describe(signal?: AbortSignal): Promise<string> {
    const query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid";
    return (await this.read(query, 10_000, signal)).map(({ sql }) => `${sql};`).join("\n");
  }

  read(statement: string, rows: number, signal?: AbortSignal): Promise<{ [column: string]: Json }[]> {
    return this.queue.run({ statement, rows }, { signal });
  }

  close(): Promise<void> {
    return this.queue.close(new TesseraError("CLOSED", "the database was closed"));
  }
}
