import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import { type Database, type Json, messageOf, TesseraError } from "@tessera/core";

const require = createRequire(import.meta.url);

// SQLite compiled to WebAssembly over a copy of the file: nothing it does can reach the disk
const program = `
const { parentPort, workerData } = require("node:worker_threads");
const ready = require(workerData.driver)().then(({ Database }) => {
  const database = new Database(workerData.bytes);
  database.run("PRAGMA query_only = ON");
  return database;
});
parentPort.on("message", async ({ id, statement, rows }) => {
  try {
    const prepared = (await ready).prepare(statement);
    const found = [];
    while (found.length < rows && prepared.step()) found.push(prepared.getAsObject());
    prepared.free();
    parentPort.postMessage({ id, found });
  } catch (error) {
    parentPort.postMessage({ id, error: String(error?.message ?? error) });
  }
});`;

/** What of sql.js makes a database. */
interface MadeDatabase {
  run(script: string): void;
  export(): Uint8Array;
  close(): void;
}

interface Waiting {
  resolve(rows: { [column: string]: Json }[]): void;
  reject(error: unknown): void;
}

function driverPath(): string {
  try {
    return require.resolve("sql.js");
  } catch (cause) {
    throw new TesseraError("DEPENDENCY_MISSING", "reading SQLite needs the package sql.js", {
      hint: "install sql.js",
      cause,
    });
  }
}

/**
 * A SQLite file as a "database" resource that statements of a model may read. It runs in a worker on a copy in memory,
 * so that no statement can write to the file or stall the process; one that takes longer than `timeoutMs` is ended.
 * @throws TesseraError DEPENDENCY_MISSING, STORE_FAILED where the file cannot be read or a statement fails or times out.
 */
export class SqliteDatabase implements Database {
  readonly dialect = "sqlite";
  readonly revision: string;
  private readonly waiting = new Map<number, Waiting>();
  private readonly driver = driverPath();
  private worker: Worker | undefined;
  private closed = false;
  private calls = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly timeoutMs = 10_000,
  ) {
    this.revision = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
  }

  static open(path: string, timeoutMs?: number): SqliteDatabase {
    try {
      return new SqliteDatabase(readFileSync(path), timeoutMs);
    } catch (cause) {
      if (TesseraError.is(cause)) throw cause;
      throw new TesseraError("STORE_FAILED", "the database cannot be read", { path, cause });
    }
  }

  /**
   * A database in memory that a script of statements makes.
   * @throws TesseraError DEPENDENCY_MISSING, STORE_FAILED where a statement of it fails.
   */
  static async create(script: string, timeoutMs?: number): Promise<SqliteDatabase> {
    const driver = require(driverPath()) as () => Promise<{ Database: new () => MadeDatabase }>;
    const made = new (await driver()).Database();
    try {
      made.run(script);
      return new SqliteDatabase(made.export(), timeoutMs);
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

  async read(statement: string, rows: number, signal?: AbortSignal): Promise<{ [column: string]: Json }[]> {
    signal?.throwIfAborted();
    if (this.closed) throw new TesseraError("CLOSED", "the database is closed");
    const id = this.calls++;
    const stop = (error: unknown) => this.restart(error);
    const timer = setTimeout(
      () => stop(new TesseraError("STORE_FAILED", `the statement took longer than ${this.timeoutMs} ms`)),
      this.timeoutMs,
    );
    const abort = () => stop(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        this.waiting.set(id, { resolve, reject });
        this.running().postMessage({ id, statement, rows });
      });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    this.restart(new TesseraError("CLOSED", "the database was closed"));
  }

  private running(): Worker {
    if (this.worker) return this.worker;
    const worker = new Worker(program, { eval: true, workerData: { driver: this.driver, bytes: this.bytes } });
    worker.unref();
    worker.on("message", ({ id, found, error }) => {
      const call = this.waiting.get(id);
      this.waiting.delete(id);
      if (error === undefined) call?.resolve(found);
      else call?.reject(new TesseraError("STORE_FAILED", error));
    });
    worker.on("error", (cause) => this.restart(new TesseraError("STORE_FAILED", "SQLite failed", { cause })));
    this.worker = worker;
    return worker;
  }

  /** Ends the worker, which cannot be interrupted otherwise; the next call starts another. */
  private restart(error: unknown): void {
    void this.worker?.terminate();
    this.worker = undefined;
    for (const call of this.waiting.values()) call.reject(error);
    this.waiting.clear();
  }
}
