// internal: loaded where a database is given
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import {
  connectSteadily,
  DurableRuns,
  type DurableSettings,
  postgresBudgets,
  postgresRecords,
  type SteadyConnection,
} from "@tessera/durable";
import type { FlowRunner } from "@tessera/graph/internal";
import { connectPostgres } from "@tessera/stores";
import { type Backend, type BackendOptions, composed, type DatabaseOptions } from "../backend.js";
import type { AnyTessera } from "../embedded-runs.js";
import { Library } from "../library.js";
import { addressOf } from "./address.js";
import { databaseFlows } from "./flows.js";
import { DatabaseIndexes } from "./indexes.js";
import { databaseOwners } from "./owners.js";
import { SharedRevision } from "./revision.js";

/**
 * On PostgreSQL, shared by any number of processes: a run is worked on by one of them, and taken over where that one dies.
 * @throws TesseraError BAD_ARGUMENT, DEPENDENCY_MISSING, STORE_FAILED, INVALID_FLOW
 */
export async function openDatabase(
  database: DatabaseOptions,
  options: BackendOptions & Pick<DurableSettings, "isRevoked">,
): Promise<Backend> {
  const { url, concurrency = 64, leaseMs, pollMs = 100 } = database;
  await assertReachable(url);
  const connection = await connectSteadily(url);
  const opened: (() => Promise<unknown>)[] = [() => connection.close()];
  const close = async () => {
    for (const one of opened.reverse()) await one();
  };
  try {
    const records = await postgresRecords(connection);
    const budgets = await postgresBudgets(connection);
    const revision = await SharedRevision.open(connection);
    const indexes = await DatabaseIndexes.open(await connectPostgres(url), connection, revision);
    opened.push(() => indexes.close());
    const tessera = composed(options, indexes, records, false);
    opened.push(() => tessera.close());
    const library = new Library(tessera, options.flows, await databaseFlows(connection, revision));
    await library.load();
    const follow = () =>
      revision.follow(async () => {
        const { added, removed } = await indexes.load();
        if (Object.keys(added).length > 0) await library.provide(added);
        await library.load();
        // a flow that names one of them was uploaded meanwhile: it fails as it must, and the next upload is refused
        if (Object.keys(removed).length > 0) await library.withdraw(removed).catch(() => {});
      });
    opened.push(revision.every(1000, follow));
    const runs = await DurableRuns.open({
      url,
      connection,
      records,
      runner: following(tessera, library, follow),
      concurrency,
      leaseMs,
      pollMs,
      isRevoked: options.isRevoked,
    });
    const alone = connection.alone;
    const checks = { database: () => connection.query("SELECT 1") };
    const owners = await databaseOwners(connection);
    return { tessera, library, records, runs, budgets, indexes, owners, checks, alone, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Flows as they are now: another process may have changed them since a run was handed in. */
const following = (tessera: AnyTessera, library: Library, follow: () => Promise<void>): FlowRunner => ({
  flow: (name) => library.flow(name),
  hearArrivals: (run) => tessera.hearArrivals(run),
  noteAnswer: (run, path, value, options) => tessera.noteAnswer(run, path, value, options),
  noteSignal: (run, name, value, options) => tessera.noteSignal(run, name, value, options),
  async stream(name, input, options) {
    await follow();
    return tessera.stream(name, input, options);
  },
  async resumeStream(id, options) {
    await follow();
    return tessera.resumeStream(id, options);
  },
  async forkStream(id, change, options) {
    await follow();
    return tessera.forkStream(id, change, options);
  },
});

/** Asks once, so that a service does not wait at its start for a server that is not there. */
async function assertReachable(url: string): Promise<void> {
  const parsed = await addressOf(url);
  let connection: SteadyConnection | undefined;
  try {
    connection = await connectSteadily(url, 0, 1);
    await connection.query("SELECT 1");
  } catch (cause) {
    if (TesseraError.is(cause) && cause.code === "DEPENDENCY_MISSING") throw cause;
    throw new TesseraError("STORE_FAILED", `the database cannot be reached: ${messageOf(deepest(cause))}`, {
      path: `${parsed.host}${parsed.pathname}`, // without the password
      hint: "is the server up, and are user, password and name right?",
      cause,
    });
  } finally {
    await connection?.close().catch(() => {});
  }
}

function deepest(thrown: unknown): unknown {
  const { cause, errors } = (thrown ?? {}) as { cause?: unknown; errors?: unknown[] };
  return errors?.[0] ? deepest(errors[0]) : cause ? deepest(cause) : thrown;
}
