import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import { missing, warn } from "@tessera/core/internal";
import { defaultRetention, type Retention, type Runs } from "@tessera/graph/internal";
import type { FastifyInstance } from "fastify";
import { type BackendOptions, type DatabaseOptions, openFolder } from "./backend.js";
import { KeyRing } from "./keys.js";
import { Meter } from "./meter.js";
import { createServer, type ServerOptions } from "./server.js";
import type { StudioOptions } from "./studio/routes.js";
import { StudioSessions } from "./studio/sessions.js";
import { uploadFlows } from "./studio/work-folder.js";

export interface ServeOptions
  extends Omit<BackendOptions, "bytes">,
    Pick<
      ServerOptions,
      "models" | "origins" | "readers" | "bodyLimit" | "bodiesLimit" | "logger" | "unauthenticated" | "trustProxy"
    > {
  /** Where keys are kept and, without a database, runs, budgets, uploaded flows and indexes. */
  readonly folder: string;
  /** A PostgreSQL server for all of this, which several services may share: its URL, or its settings. */
  readonly database?: string | DatabaseOptions | undefined;
  /** Which ended runs are kept. Others are removed every minute. */
  readonly retention?: Partial<Retention> | undefined;
  readonly host?: string;
  readonly port?: number;
  /** Serves the studio, which a link with a one-time token opens. `used` hears the next link when one was used. */
  readonly studio?: (Omit<StudioOptions, "sessions"> & { readonly used?: (link: string) => void }) | undefined;
}

export interface Served {
  readonly server: FastifyInstance;
  readonly url: string;
  /** The token of the first key, if the service had no key yet. It is shown only this once. */
  readonly firstKey: string | undefined;
  /** The link that opens the studio, once. */
  readonly studio?: string | undefined;
}

const pruneEvery = 60_000; // milliseconds

/**
 * Starts the service: on the disk of this machine, as the only service of its folder, or on PostgreSQL beside others.
 * @throws TesseraError INDEX_LOCKED if another service holds the folder; DEPENDENCY_MISSING and STORE_FAILED if the
 * database cannot be used; CONFLICT if the port is taken; INVALID_FLOW, INDEX_CORRUPT.
 */
export async function serve(options: ServeOptions): Promise<Served> {
  const { folder, host = "127.0.0.1", port = 8080, studio } = options;
  const events = studio ? { detailed: true, ...options.events } : options.events;
  const keys = await KeyRing.open(join(folder, "keys"));
  const backend = await (options.database === undefined
    ? openFolder(folder, { ...options, events, bytes: options.retention?.bytes })
    : openDatabase({ ...options, events }, keys));
  let server: FastifyInstance | undefined;
  try {
    const { budgets, runs } = backend;
    const meter = new Meter({ budgets, runs });
    let link = (_: string) => "";
    const sessions = studio && new StudioSessions(keys, (token) => studio.used?.(link(token)));
    server = createServer({ ...options, ...backend, keys, meter, studio: studio && { ...studio, sessions } });
    if (studio?.folder !== undefined) await uploadFlows(backend.library, studio.folder);
    const stopPruning = keepPruned(runs, { ...defaultRetention, ...options.retention });
    server.addHook("onClose", async () => {
      stopPruning();
      await backend.close();
    });
    const url = await listen(server, host, port);
    link = (token) => `${url}/studio/#token=${token}`;
    const first = await backend.alone(async () =>
      (await keys.list()).every(({ revoked }) => revoked)
        ? keys.create({ name: "first", scopes: ["run", "flows", "indexes", "operate"] })
        : undefined,
    );
    return { server, url, firstKey: first?.token, studio: sessions && link(sessions.issue()) };
  } catch (error) {
    if (server) await server.close();
    else {
      await backend.runs.close(0);
      await backend.close();
    }
    throw error;
  }
}

async function openDatabase(options: ServeOptions, keys: KeyRing) {
  const database = typeof options.database === "string" ? { url: options.database } : options.database!;
  const { openDatabase } = await import("./database/backend.js").catch(missing("@tessera/durable"));
  return openDatabase(database, {
    ...options,
    isRevoked: async (id) => {
      await keys.look();
      return keys.find(id)?.revoked !== undefined;
    },
  });
}

async function listen(server: FastifyInstance, host: string, port: number): Promise<string> {
  try {
    return await server.listen({ host, port });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const taken = code === "EADDRINUSE";
    throw new TesseraError("CONFLICT", taken ? `port ${port} is in use` : `cannot listen: ${code ?? cause}`, {
      path: `${host}:${port}`,
      hint: taken ? "stop the other service, or choose another with --port" : undefined,
      cause,
    });
  }
}

/** Removes the runs that the retention does not keep, now and every minute. */
function keepPruned(runs: Runs, retention: Retention): () => void {
  let pruning = false;
  const prune = async () => {
    if (pruning) return;
    pruning = true;
    await runs.prune(retention).catch((thrown) => {
      warn("runs that ended could not be forgotten", thrown);
    });
    pruning = false;
  };
  void prune();
  const timer = setInterval(prune, pruneEvery);
  timer.unref();
  return () => clearInterval(timer);
}
