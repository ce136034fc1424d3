import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { AnyOperator, FlowDocument, Records } from "@tessera/core";
import { type DailyBudgets, WriterLock } from "@tessera/core/internal";
import type { Observer } from "@tessera/graph";
import { LegacyFolder, logRecords, type Runs } from "@tessera/graph/internal";
import { createTessera, type Resources } from "@tessera/tessera";
import type { Checks } from "@tessera/tessera/internal";
import { type AnyTessera, EmbeddedRuns } from "./embedded-runs.js";
import { type Indexes, IndexFolder, mergedResources } from "./indexes.js";
import { folderFlows, Library } from "./library.js";
import type { EventLimits } from "./live-run.js";
import { LocalOwners, type Owners } from "./owners.js";
import { openServiceLog, type ServiceLog } from "./service-log.js";

export interface BackendOptions {
  readonly flows: Readonly<Record<string, FlowDocument>>;
  readonly resources?: Resources | undefined;
  /** Operators beside those of the catalogue. */
  readonly operators?: readonly AnyOperator[] | undefined;
  /** Observes every run, such as `openTelemetry()` of `@tessera/telemetry`. */
  readonly observer?: Observer | undefined;
  /** The bytes that runs, their events and records may take on this machine's disk; 2 GiB. */
  readonly bytes?: number | undefined;
  /** Limits of the events of one run. */
  readonly events?: Partial<EventLimits> | undefined;
}

export interface DatabaseOptions {
  readonly url: string;
  /** How many runs this process executes at the same time; 64 by default. With 0 it only submits runs. */
  readonly concurrency?: number | undefined;
  /**
   * After how many milliseconds without a heartbeat a process counts as dead, and others take over its runs; 15,000 by
   * default.
   */
  readonly leaseMs?: number | undefined;
  /** How often the queue is polled, in milliseconds; 100 by default. */
  readonly pollMs?: number | undefined;
}

/** The flows of a service, and where it keeps runs, budgets, uploaded flows and indexes. */
export interface Backend {
  readonly tessera: AnyTessera;
  readonly library: Library;
  readonly records: Records;
  readonly runs: Runs;
  readonly budgets: DailyBudgets;
  readonly indexes: Indexes;
  /** The owners of flows and indexes. */
  readonly owners: Owners;
  /** Checks of what it needs, for `/readyz`. */
  readonly checks?: Checks;
  /** Executes work while no other process that shares the backend executes such work. */
  alone<T>(work: () => Promise<T>): Promise<T>;
  /** Closes it. Close the runs before. */
  close(): Promise<void>;
}

/** The library's object over what a backend keeps: flows of its own, its indexes, its records. */
export const composed = (
  options: BackendOptions,
  indexes: Indexes,
  records: Records,
  wake: false | ((run: string) => Promise<unknown>),
): AnyTessera =>
  createTessera({
    wake,
    flows: options.flows,
    operators: options.operators ?? [],
    resources: mergedResources([options.resources ?? {}, indexes.resources]),
    records,
    ...(options.observer && { observer: options.observer }),
  });

/**
 * A backend on the disk of this machine, for one process. If another process has taken the folder over, for example
 * while this machine slept, it writes nothing more.
 * @throws TesseraError INDEX_LOCKED if another process holds the folder; INVALID_FLOW, INDEX_CORRUPT, RECORD_CORRUPT.
 */
export async function openFolder(folder: string, options: BackendOptions): Promise<Backend> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const lock = await WriterLock.acquire(folder);
  const assertHeld = async () => lock.assertHeld();
  let log: ServiceLog | undefined;
  try {
    const indexes = await IndexFolder.open(join(folder, "indexes"), () => lock.assertHeld());
    const owners = await LocalOwners.open(join(folder, "owners.json"), assertHeld);
    log = await openServiceLog(folder, { assertHeld: () => lock.assertHeld(), bytes: options.bytes });
    const records = logRecords(log.log, { legacy: new LegacyFolder(join(folder, "records")) });
    const opened = Promise.withResolvers<EmbeddedRuns>();
    opened.promise.catch(() => {});
    const tessera = composed(options, indexes, records, async (run) => (await opened.promise).wake(run));
    const library = new Library(tessera, options.flows, folderFlows(join(folder, "flows"), assertHeld));
    await library.load();
    const runs = await EmbeddedRuns.open(tessera, records, log.runs, { ...options.events, bytes: options.bytes });
    opened.resolve(runs);
    return {
      tessera,
      library,
      records,
      runs,
      budgets: log.budgets,
      indexes,
      owners,
      alone: (work) => work(),
      async close() {
        // changes under way are written before the folder is free
        await indexes.close();
        await log?.log.close();
        await lock.release();
      },
    };
  } catch (error) {
    await log?.log.close();
    await lock.release();
    throw error;
  }
}
