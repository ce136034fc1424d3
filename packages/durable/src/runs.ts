import {
  canonicalJson,
  type ErrorCode,
  type FlowEvent,
  type Json,
  messageOf,
  type Principal,
  type Spent,
  sha256,
  TesseraError,
} from "@tessera/core";
import { type Budget, type CompiledFlow, type FlowEvents, type RunResult, toJson } from "@tessera/graph";
import { EventEmitter } from "eventemitter3";
import type { SteadyConnection } from "./connection.js";
import { EventLog, type RunEvent } from "./events.js";
import { launch } from "./launch.js";
import type { PostgresRecords } from "./records.js";

type Row = { readonly [port: string]: Json };

export interface RunRequest {
  readonly id: string;
  readonly flow: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly principal: Principal;
  readonly budget?: Budget | undefined;
  readonly seed?: number | undefined;
}

export interface RunError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly path?: string;
  readonly hint?: string;
}

/** A run that waits in the queue counts as running. */
export interface RunState {
  readonly id: string;
  readonly flow: string;
  readonly principal: Principal;
  readonly status: "running" | "done" | "budget" | "failed" | "cancelled";
  readonly input: Row;
  readonly seed: number;
  readonly inputHash: string;
  readonly output?: Row;
  readonly error?: RunError;
  readonly spent?: Spent;
  readonly started: string;
  readonly ended?: string;
}

export interface DurableSettings {
  /** The URL of the server; DBOS keeps its tables there too, in the schema "dbos". */
  readonly url: string;
  readonly connection: SteadyConnection;
  readonly records: PostgresRecords;
  /** The flows, compiled with these records; every worker must have the same. */
  readonly flow: (name: string) => Promise<CompiledFlow>;
  /** Workers of one queue share its runs. */
  readonly queue?: string;
  /** How many runs this process works on at a time; with 0 it only hands in. 8. */
  readonly concurrency?: number;
  /** A worker that was not heard of for so long is dead, and others take its runs over. 15,000. */
  readonly leaseMs?: number;
  /** How often the queue is looked at. 200. */
  readonly pollMs?: number;
  /** How often a run is taken over before it counts as failed, because it ends every worker that takes it. 10. */
  readonly attempts?: number;
}

const schema = [
  `CREATE TABLE IF NOT EXISTS tessera.state (
     id text PRIMARY KEY, state text NOT NULL, budget text, principal text NOT NULL,
     started timestamptz NOT NULL DEFAULT now(), ended timestamptz)`,
  "CREATE INDEX IF NOT EXISTS state_principal ON tessera.state (principal, started DESC)",
  `CREATE TABLE IF NOT EXISTS tessera.event (
     run text NOT NULL REFERENCES tessera.state ON DELETE CASCADE, sequence int NOT NULL, type text NOT NULL,
     data text NOT NULL, PRIMARY KEY (run, sequence))`,
  "CREATE TABLE IF NOT EXISTS tessera.worker (id text PRIMARY KEY, seen timestamptz NOT NULL)",
];

/**
 * Runs on PostgreSQL: handed in by any process, worked on by the workers of a queue, taken over where a worker dies. Each
 * is one workflow of DBOS with one step; within it the flow resumes from its own journal. A run ends once: the first to
 * note its end wins. The step that was in flight when a worker died runs again.
 */
export class DurableRuns {
  readonly #running = new Map<string, AbortController>();
  readonly #log: EventLog;
  #closing = false;

  private constructor(
    private readonly settings: DurableSettings,
    private readonly queue: Awaited<ReturnType<typeof launch>>,
  ) {
    this.#log = new EventLog(settings.connection);
  }

  /** Starts this process's part. There is one for each process, because DBOS is. */
  static async open(settings: DurableSettings): Promise<DurableRuns> {
    // DBOS brings its tables up to date as well, and two processes that do so at once fail
    return settings.connection.alone(() => DurableRuns.#open(settings));
  }

  static async #open(settings: DurableSettings): Promise<DurableRuns> {
    for (const statement of schema) await settings.connection.query(statement);
    let runs: DurableRuns | undefined;
    const queue = await launch({
      url: settings.url,
      connection: settings.connection,
      queue: settings.queue ?? "tessera",
      concurrency: settings.concurrency ?? 8,
      leaseMs: settings.leaseMs ?? 15_000,
      pollMs: settings.pollMs ?? 200,
      attempts: settings.attempts ?? 10,
      giveUp: async (id) => {
        const state = await runs?.get(id);
        if (!runs || state?.status !== "running") return;
        const message = "every worker that took the run died";
        await runs.#end(state, { status: "failed", error: { code: "INTERNAL", message, path: id } });
      },
      // a workflow cannot be given before there is something to give it to
      work: async (id, signal) => {
        while (!runs) await new Promise((resolve) => setTimeout(resolve, 5));
        await runs.#work(id, signal);
      },
    });
    runs = new DurableRuns(settings, queue);
    return runs;
  }

  /** @throws TesseraError CONFLICT where the id is known with another flow, input or principal; CLOSED. */
  async start({ id, flow, input, principal, budget, seed = 0 }: RunRequest): Promise<RunState> {
    if (this.#closing) throw new TesseraError("CLOSED", "no new runs are taken", { path: id });
    const values = toJson(input) as Row;
    const inputHash = sha256(canonicalJson(values));
    await this.settings.flow(flow);
    const started = new Date().toISOString();
    const state: RunState = { id, flow, principal, status: "running", input: values, seed, inputHash, started };
    await this.settings.connection.query(
      "INSERT INTO tessera.state (id, state, budget, principal) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
      [id, JSON.stringify(state), budget ? JSON.stringify(budget) : null, JSON.stringify(principal.id)],
    );
    const known = await this.#known(id);
    if (known.flow !== flow || known.inputHash !== inputHash || known.principal.id !== principal.id)
      throw new TesseraError("CONFLICT", "this run was started with another flow or input", { path: id });
    // handed in again where a crash came between the note and the queue; the queue knows it by its id
    if (known.status === "running") await this.queue.add(id);
    return known;
  }

  async get(id: string): Promise<RunState | undefined> {
    const { rows } = await this.settings.connection.query<{ state: string }>(
      "SELECT state FROM tessera.state WHERE id = $1",
      [id],
    );
    return rows[0] && (JSON.parse(rows[0].state) as RunState);
  }

  async list({ principal, limit }: { principal?: string | undefined; limit: number }): Promise<RunState[]> {
    const { rows } = await this.settings.connection.query<{ state: string }>(
      `SELECT state FROM tessera.state WHERE $1::text IS NULL OR principal = $1 ORDER BY started DESC LIMIT $2::int`,
      [principal === undefined ? null : JSON.stringify(principal), limit],
    );
    return rows.map(({ state }) => JSON.parse(state) as RunState);
  }

  /** @throws TesseraError NOT_FOUND; CONFLICT where it has ended. */
  async cancel(id: string): Promise<RunState> {
    const state = await this.#known(id);
    const cancelled = await this.#end(state, { status: "cancelled" });
    if (!cancelled) throw new TesseraError("CONFLICT", "the run has ended", { path: id });
    this.#running.get(id)?.abort(new Error("cancelled"));
    await this.queue.cancel(id);
    return cancelled;
  }

  /** @throws TesseraError NOT_FOUND; CONFLICT where it runs or has succeeded. */
  async resume(id: string): Promise<RunState> {
    const { output: _, error: __, ended: ___, ...rest } = await this.#known(id);
    if (rest.status !== "failed" && rest.status !== "cancelled")
      throw new TesseraError("CONFLICT", `a run that is ${rest.status} cannot be resumed`, { path: id });
    const running: RunState = { ...rest, status: "running" };
    await this.settings.connection.query(
      "UPDATE tessera.state SET state = $2, ended = NULL WHERE id = $1 AND ended IS NOT NULL",
      [id, JSON.stringify(running)],
    );
    await this.queue.again(id);
    return running;
  }

  /** What happened after the event `after`, wherever the run is worked on, until it ends. */
  async *events(id: string, after = 0): AsyncIterable<RunEvent> {
    for (let next = after; ; ) {
      const ended = (await this.#known(id)).status !== "running";
      const events = await this.#log.after(id, next);
      for (const event of events) {
        next = event.sequence;
        yield event;
      }
      if (events.length > 0) continue;
      if (ended) return;
      await new Promise((resolve) => setTimeout(resolve, this.settings.pollMs ?? 200));
    }
  }

  async settled(id: string): Promise<RunState> {
    for (;;) {
      const state = await this.#known(id);
      if (state.status !== "running") return state;
      await new Promise((resolve) => setTimeout(resolve, this.settings.pollMs ?? 200));
    }
  }

  async records(id: string): Promise<Readonly<Record<string, string>>> {
    return Object.fromEntries(await this.settings.records.journal(id));
  }

  /** Forgets runs that ended before a moment: their states, events, journals, and steps that no other needs. */
  async prune(before: Date): Promise<number> {
    const { rows } = await this.settings.connection.query<{ id: string }>(
      "SELECT id FROM tessera.state WHERE ended < $1",
      [before],
    );
    for (const { id } of rows) {
      await this.settings.records.forget(id);
      await this.queue.forget(id);
      await this.settings.connection.query("DELETE FROM tessera.state WHERE id = $1", [id]);
    }
    return rows.length;
  }

  /** Takes no new runs; those that take longer than `within` milliseconds are left to the other workers. */
  async close(within = 30_000): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    await this.queue.close(within, () => {
      for (const abort of this.#running.values()) abort.abort(new Error("the worker closes"));
    });
  }

  async #known(id: string): Promise<RunState> {
    const state = await this.get(id);
    if (!state) throw new TesseraError("NOT_FOUND", `there is no run "${id}"`);
    return state;
  }

  /** Notes an end, unless another was noted. */
  async #end(state: RunState, end: Partial<RunState>): Promise<RunState | undefined> {
    const ended: RunState = { ...state, ...end, ended: new Date().toISOString() };
    const { rows } = await this.settings.connection.query(
      "UPDATE tessera.state SET state = $2, ended = now() WHERE id = $1 AND ended IS NULL RETURNING id",
      [state.id, JSON.stringify(ended)],
    );
    return rows.length > 0 ? ended : undefined;
  }

  /** The one step of a run's workflow. Does not throw for what the flow threw: that is the run's end. */
  async #work(id: string, cancelled: AbortSignal): Promise<void> {
    const state = await this.get(id);
    if (state?.status !== "running") return;
    const abort = new AbortController();
    const forward = () => abort.abort(cancelled.reason);
    cancelled.addEventListener("abort", forward, { once: true });
    this.#running.set(id, abort);
    const writer = await this.#log.writer(id);
    let end: Partial<RunState>;
    try {
      const { status, output, spent } = await this.#run(state, abort.signal, writer.push);
      end = { status, output: toJson(output) as Row, spent };
    } catch (thrown) {
      // left to the worker that takes it over
      if (this.#closing && abort.signal.aborted) await new Promise(() => {});
      end = { status: "failed", error: errorOf(thrown) };
    } finally {
      this.#running.delete(id);
      cancelled.removeEventListener("abort", forward);
      await writer.close().catch(() => {});
    }
    await this.#end(state, end);
  }

  async #run(state: RunState, signal: AbortSignal, push: (type: string, data: Json) => void): Promise<RunResult> {
    const { connection, records } = this.settings;
    const flow = await this.settings.flow(state.flow);
    const { rows } = await connection.query<{ budget: string | null }>(
      "SELECT budget FROM tessera.state WHERE id = $1",
      [state.id],
    );
    const budget = rows[0]?.budget ? (JSON.parse(rows[0].budget) as Budget) : undefined;
    const { id, principal, seed, input } = state;
    // one that ended before its first note begins anew
    const known = await records.run(id);
    const events: FlowEvents = new EventEmitter();
    events.on("event", (event) => push(event.type, dataOf(event)));
    return known
      ? flow.resume(id, { signal, budget, events })
      : flow.run(input as Record<string, unknown>, { id, principal, seed, signal, budget, events });
  }
}

function dataOf(event: FlowEvent): Json {
  try {
    return toJson(event.type === "node-error" ? { ...event, error: errorOf(event.error) } : event);
  } catch {
    return { type: event.type, path: event.path };
  }
}

function errorOf(thrown: unknown): RunError {
  if (!TesseraError.is(thrown)) return { code: "NODE_FAILED", message: messageOf(thrown) };
  const { code, message, path, hint } = thrown;
  return { code, message, ...(path !== undefined && { path }), ...(hint !== undefined && { hint }) };
}
