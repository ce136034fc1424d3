import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { type Encoder, type Folder, type Store, TesseraError } from "@tessera/core";
import { missing } from "@tessera/core/internal";
import type { IngestedFile } from "@tessera/durable";
import { LocalFolder } from "@tessera/indexer";
import { directorySettings } from "@tessera/indexer/internal";
import { HashEncoder } from "@tessera/models";
import { createTessera, PostgresStore } from "@tessera/tessera";
import { type EncoderOptions, openNamed } from "../engine.js";
import type { Terminal } from "../terminal.js";
import { noteUnread } from "../unread.js";

/** How a folder is indexed into a database. */
export interface DatabaseIndexOptions extends EncoderOptions {
  readonly database: string;
  readonly name: string;
  /** How many further processes work on it; with 0 this one does. */
  readonly workers: number;
  /** Whether this process only works on what others hand in, until it is stopped. */
  readonly join?: boolean;
  readonly signal: AbortSignal;
}

const durable = () => import("@tessera/durable").catch(missing("@tessera/durable"));

/**
 * Indexes a folder into PostgreSQL, by several processes that share the work. @throws TesseraError
 */
export async function indexIntoDatabase(
  terminal: Terminal,
  root: string,
  options: DatabaseIndexOptions,
): Promise<number> {
  process.noDeprecation = true; // DBOS 5.3 uses pg in a way that pg 9 will refuse, and pg says so
  const worker = await openWorker(terminal, root, options);
  const helpers = options.join ? [] : Array.from({ length: options.workers }, () => startHelper(root, options));
  try {
    return options.join ? await workUntilStopped(terminal, options) : await updateIndex(terminal, worker, options);
  } finally {
    for (const helper of helpers) helper.kill("SIGTERM");
    await worker.close();
  }
}

type Worker = Awaited<ReturnType<typeof openWorker>>;

/** What every process of an ingestion has: the folder, the stores, the encoder, and its part in the runs. */
async function openWorker(terminal: Terminal, root: string, options: DatabaseIndexOptions) {
  const { database: url, name, workers, join } = options;
  const { connectSteadily, DurableRuns, ingestFlow, postgresRecords } = await durable();
  const folder = await LocalFolder.open(root);
  const vectors =
    options.encoder === "hash" || options.encoder === undefined ? undefined : await openNamed(terminal, options);
  if (vectors?.usesHash)
    throw new TesseraError("BAD_ARGUMENT", "hash features are fitted to a whole corpus, which no worker sees", {
      hint: "name a model alone, or hash",
    });
  const hash = new HashEncoder();
  const encoder: Encoder = vectors ? vectors.encoderOver(undefined, "code") : hash;
  const space = { space: encoder.space({}), width: vectors ? vectors.widthOver(undefined) : hash.width };
  const connection = await connectSteadily(url);
  const stores = {
    sparse: await PostgresStore.open({ database: url, name: `${name}_sparse` }),
    dense: await PostgresStore.open({ database: url, name: `${name}_dense`, ...space }),
  };
  const records = await postgresRecords(connection);
  const resources = { store: stores, encoder: { encoder }, folder: { source: folder } };
  const runner = createTessera({ flows: { ingest: ingestFlow }, resources, records });
  const concurrency = join || workers === 0 ? 2 : 0;
  const runs = await DurableRuns.open({ url, connection, records, runner, queue: `ingest-${name}`, concurrency });
  return {
    ...{ folder, connection, stores, runs, revision: encoder.revision },
    async close() {
      await runs.close(10_000);
      await runner.close();
      await vectors?.close();
      for (const store of Object.values(stores)) await store.close();
      await connection.close();
    },
  };
}

function startHelper(root: string, { database, name, encoder, engine }: DatabaseIndexOptions) {
  const words = ["index", root, "--database", database, "--name", name, "--join"];
  if (encoder !== undefined) words.push("--encoder", encoder);
  if (engine !== undefined) words.push("--engine", engine);
  return spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...words], {
    stdio: ["ignore", "ignore", "inherit"],
  });
}

function workUntilStopped(terminal: Terminal, { name, signal }: DatabaseIndexOptions): Promise<number> {
  terminal.note(`works on the index "${name}" until it is stopped`);
  return new Promise((resolve) => {
    if (signal.aborted) resolve(0);
    signal.addEventListener("abort", () => resolve(0), { once: true });
  });
}

async function updateIndex(
  terminal: Terminal,
  worker: Worker,
  { name, signal }: DatabaseIndexOptions,
): Promise<number> {
  const began = performance.now();
  const { folder, connection, stores, runs, revision } = worker;
  const { ingest } = await durable();
  const { files, skipped: left } = await filesOf(folder, signal);
  const progress = (done: number, total: number) => terminal.progress("index", done, total);
  const written: Store[] = Object.values(stores);
  const report = await ingest({ runs, connection, name, files, stores: written, revision, signal, progress });
  terminal.clear();
  const { passages } = await stores.sparse.statistics();
  const ms = Math.round(performance.now() - began);
  const skipped = [...left, ...report.skipped];
  terminal.result({ index: name, ...report, skipped, passages, ms });
  const counts = `${report.seen} files seen, ${report.indexed} indexed, ${report.removed} removed, ${passages} passages in all`;
  terminal.say(`index "${name}": ${counts}, in ${(ms / 1000).toFixed(1)} s`);
  noteUnread(terminal, skipped as Parameters<typeof noteUnread>[1]);
  return 0;
}

/** The files of a folder with the hashes of their content. */
async function filesOf(folder: Folder, signal: AbortSignal) {
  const { maximumBytes, maximumDocumentBytes, exclude } = directorySettings.parse({});
  const most = Math.max(maximumBytes, maximumDocumentBytes);
  const { files: paths, skipped } = await folder.list({ maximumBytes: most, exclude }, signal);
  const files: IngestedFile[] = [];
  for (const path of paths) {
    const bytes = await folder.read(path, most, signal);
    if (typeof bytes !== "string") files.push({ path, hash: createHash("sha256").update(bytes).digest("hex") });
  }
  return { files, skipped };
}
