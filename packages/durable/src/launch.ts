import { AsyncResource } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import { TesseraError } from "@tessera/core";
import { every, messageOf, systemClock, warn } from "@tessera/core/internal";
import type { SqlConnection } from "./sql.js";

interface LaunchSettings {
  readonly url: string;
  readonly connection: SqlConnection;
  readonly queue: string;
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly pollMs: number;
  /** How often a run is taken over before it is given up. */
  readonly attempts: number;
  /** Works on a run until it has ended, or until the signal says that it was cancelled. */
  readonly work: (id: string, life: number, cancelled: AbortSignal) => Promise<void>;
  /** Notes that a run was given up: every worker that took it died. */
  readonly giveUp: (id: string) => Promise<void>;
}

/** A life of a run: what a worker does of it until it ends or comes to rest. */
export interface LifeOfRun {
  readonly id: string;
  /** From 0. */
  readonly life: number;
}

/** The queue as this process sees it. Each life of a run is a workflow. */
interface Queue {
  /**
   * Hands a life in; one that is known stays as it is.
   * @param at when it may begin, in milliseconds since 1970; at once without it
   */
  add(one: LifeOfRun, at?: number): Promise<void>;
  /** Lets a life begin at once that was handed in for later. */
  hurry(one: LifeOfRun): Promise<void>;
  cancel(one: LifeOfRun): Promise<void>;
  /** Hands a life in again that had ended. */
  again(one: LifeOfRun): Promise<void>;
  /** Forgets this life and those before it. */
  forget(one: LifeOfRun): Promise<void>;
  close(within: number, abandon: () => void): Promise<void>;
}

const workflowName = "tessera.run";
const workflowOf = ({ id, life }: LifeOfRun): string => (life === 0 ? id : `${id}:${life}`);
const runOf = (workflow: string): string => workflow.split(":", 1)[0]!;
const glance = 100; // runs given up that are looked at, the latest first

let launched = false;

// the executor is where recovery of another process's runs is: DBOS offers it to its own console alone
const loadDbos = () =>
  Promise.all([import("@dbos-inc/dbos-sdk"), import("@dbos-inc/dbos-sdk/internal/dbos")]).then(
    ([{ DBOS }, { getExecutor }]) => ({ DBOS, getExecutor }),
    (cause) => {
      throw new TesseraError("DEPENDENCY_MISSING", `DBOS cannot be loaded: ${messageOf(cause)}`, { cause });
    },
  );
type Dbos = Awaited<ReturnType<typeof loadDbos>>;

/** Starts DBOS: it queues, says who owns a run, and hands the runs of the dead to the living. */
export async function launch(settings: LaunchSettings): Promise<Queue> {
  if (launched) throw new TesseraError("BAD_ARGUMENT", "durable runs are open already: there is one in each process");
  const dbos = await loadDbos();
  launched = true;
  const worker = randomUUID();
  const { DBOS } = dbos;
  const { queue, connection } = settings;
  const run = await startWorkflows(dbos, worker, settings);
  const stop = await startBeating(dbos, worker, settings);
  // the next life is handed in from the step of the one before, where DBOS takes no workflows
  const outside = new AsyncResource("tessera.queue");
  return {
    async add(one, at) {
      const delaySeconds = at === undefined ? 0 : (at - Date.now()) / 1000;
      const settings = { workflowID: workflowOf(one), queueName: queue };
      const later = delaySeconds > 0 ? { enqueueOptions: { delaySeconds } } : {};
      await outside.runInAsyncScope(() => DBOS.startWorkflow(run, { ...settings, ...later })(one.id, one.life));
    },
    hurry: (one) => outside.runInAsyncScope(() => DBOS.setWorkflowDelay(workflowOf(one), { delaySeconds: 0.001 })),
    cancel: (one) => DBOS.cancelWorkflow(workflowOf(one)),
    async again(one) {
      await DBOS.rewindWorkflow(workflowOf(one), { queueName: queue });
    },
    async forget({ id, life }) {
      for (let one = life; one >= 0; one--) await DBOS.deleteWorkflow(workflowOf({ id, life: one }));
    },
    async close(within, abandon) {
      await stop();
      const drained = DBOS.shutdown({ workflowCompletionTimeoutMS: Math.min(within, 2 ** 31 - 1) });
      const forget = systemClock.after(within, abandon);
      await drained;
      forget();
      // what was left behind is taken over at once
      await connection.query("UPDATE tessera.worker SET seen = '-infinity' WHERE id = $1", [worker]);
      launched = false;
    },
  };
}

/** Registers the workflow that works on a run, and starts to take runs from the queue. */
async function startWorkflows({ DBOS }: Dbos, worker: string, settings: LaunchSettings) {
  const { url, queue, concurrency, pollMs, attempts, work } = settings;
  const run = DBOS.registerWorkflow(
    async (id: string, life?: number) => {
      await DBOS.runStep(() => work(id, life ?? 0, DBOS.stepStatus!.cancelSignal), { name: "flow" });
    },
    { name: workflowName, maxRecoveryAttempts: attempts },
  );
  DBOS.setConfig({
    name: "tessera",
    systemDatabaseUrl: url,
    executorID: worker,
    applicationVersion: "1", // of the workflow above, which is the same for every flow
    logLevel: "error",
    listenQueues: concurrency > 0 ? [queue] : [],
  });
  await DBOS.launch().catch((cause) => {
    launched = false;
    throw new TesseraError("STORE_FAILED", `DBOS cannot start: ${messageOf(cause)}`, { cause });
  });
  await DBOS.registerQueue(queue, { workerConcurrency: Math.max(1, concurrency), minPollingIntervalMs: pollMs });
  return run;
}

/** Beats once, then three times in a lease. What it gives ends that, and resolves once no beat is under way. */
async function startBeating(dbos: Dbos, worker: string, settings: LaunchSettings): Promise<() => Promise<void>> {
  await beat(dbos, worker, settings);
  let beating: Promise<void> | undefined;
  const stop = every(settings.leaseMs / 3, () => {
    beating ??= beat(dbos, worker, settings)
      .catch((error) => warn("a worker's sign of life failed", error))
      .finally(() => {
        beating = undefined;
      });
  });
  return async () => {
    stop();
    await beating;
  };
}

/** Says that this worker lives, and hands the runs of one that does not to the queue again. */
async function beat({ DBOS, getExecutor }: Dbos, worker: string, settings: LaunchSettings): Promise<void> {
  const { connection, leaseMs, giveUp } = settings;
  await connection.query(
    "INSERT INTO tessera.worker VALUES ($1, now()) ON CONFLICT (id) DO UPDATE SET seen = excluded.seen",
    [worker],
  );
  // the claim renews the entry: where the heir dies too, another finds it; nobody dies because the server was away
  const { rows } = await connection.query<{ id: string }>(
    `UPDATE tessera.worker SET seen = now()
     WHERE seen < now() - make_interval(secs => $1) AND pg_postmaster_start_time() < now() - make_interval(secs => $1)
     RETURNING id`,
    [leaseMs / 1000],
  );
  for (const { id } of rows) {
    await getExecutor().recoverPendingWorkflows([id]);
    await connection.query("DELETE FROM tessera.worker WHERE id = $1", [id]);
  }
  const lost = await DBOS.listWorkflows({
    workflowName,
    status: "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
    sortDesc: true,
    limit: glance,
    loadInput: false,
    loadOutput: false,
  });
  for (const { workflowID } of lost) await giveUp(runOf(workflowID));
}
