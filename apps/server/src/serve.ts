import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { FlowDocument } from "@tessera/core";
import { TesseraError } from "@tessera/core";
import { diskRecords, type Observer } from "@tessera/graph";
import { WriterLock } from "@tessera/indexer";
import { createTessera, type Resources } from "@tessera/tessera";
import type { FastifyInstance } from "fastify";
import { EmbeddedRuns } from "./embedded-runs.js";
import { IndexFolder } from "./indexes.js";
import { KeyRing } from "./keys.js";
import { Library } from "./library.js";
import { createServer, type ServerOptions } from "./server.js";

export interface ServeOptions extends Pick<ServerOptions, "origins" | "bodyLimit" | "logger"> {
  /** Where keys, runs, uploaded flows and indexes are kept. */
  readonly folder: string;
  readonly flows: Readonly<Record<string, FlowDocument>>;
  readonly resources?: Resources;
  /** Told of every run: `openTelemetry()` of `@tessera/telemetry`, for one. */
  readonly observer?: Observer | undefined;
  readonly host?: string;
  readonly port?: number;
}

export interface Served {
  readonly server: FastifyInstance;
  readonly url: string;
  /** The token of the first key, where there was none: it is told this once. */
  readonly firstKey: string | undefined;
}

/**
 * Brings the service up on this machine's disk, as the only one on its folder.
 * @throws TesseraError INDEX_LOCKED where another service holds the folder; CONFLICT where the port is taken;
 * INVALID_FLOW, INDEX_CORRUPT, STORE_FAILED.
 */
export async function serve(options: ServeOptions): Promise<Served> {
  await mkdir(options.folder, { recursive: true, mode: 0o700 });
  const lock = await WriterLock.acquire(options.folder);
  try {
    return await serveLocked(options, lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function serveLocked(options: ServeOptions, lock: WriterLock): Promise<Served> {
  const { folder, flows, host = "127.0.0.1", port = 8080 } = options;
  const keys = await KeyRing.open(join(folder, "keys"));
  const indexes = await IndexFolder.open(join(folder, "indexes"));
  const records = diskRecords(join(folder, "records"));
  const tessera = createTessera({
    flows,
    resources: merged(options.resources ?? {}, indexes.resources),
    records,
    ...(options.observer && { observer: options.observer }),
  });
  const library = new Library(tessera, flows, join(folder, "flows"));
  await library.load();
  const runs = new EmbeddedRuns(tessera, join(folder, "runs"), records);
  const server = createServer({ ...options, tessera, library, keys, runs, records, indexes });
  server.addHook("onClose", async () => {
    await indexes.close(); // these hooks run last first: changes under way are written before the folder is free
    await lock.release();
  });
  let url: string;
  try {
    url = await server.listen({ host, port });
  } catch (cause) {
    await server.close();
    const { code } = cause as NodeJS.ErrnoException;
    const taken = code === "EADDRINUSE";
    throw new TesseraError("CONFLICT", taken ? `port ${port} is in use` : `cannot listen: ${code ?? cause}`, {
      path: `${host}:${port}`,
      hint: taken ? "stop the other service, or choose another with --port" : undefined,
      cause,
    });
  }
  const first = (await keys.list()).every(({ revoked }) => revoked)
    ? await keys.create({ name: "first", scopes: ["run", "flows", "indexes", "operate"] })
    : undefined;
  return { server, url, firstKey: first?.token };
}

/** The resources of both, kind by kind. */
const merged = (one: Resources, other: Resources): Resources => {
  const kinds = new Set([...Object.keys(one), ...Object.keys(other)]);
  return Object.fromEntries([...kinds].map((kind) => [kind, { ...one[kind], ...other[kind] }]));
};
