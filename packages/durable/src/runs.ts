// public: DurableSettings, DurableRuns
import { randomUUID } from "node:crypto";
import { type Spent, TesseraError } from "@tessera/core";
import { errorBody, messageOf, systemClock, warnOfHidden } from "@tessera/core/internal";
import type { AnswerOptions, Budget, FlowEvents, RunOptions, RunResult, RunStream } from "@tessera/graph";
import {
  type Arrival,
  assertMayReceive,
  assertSameRun,
  cancellation,
  eventData,
  type FlowRunner,
  firstState,
  hasCome,
  keysOf,
  letGoOfThread,
  type ResumedBy,
  type Retention,
  type RunEvent,
  type RunQuery,
  type RunRequest,
  type RunState,
  type Runs,
  resumed,
  spentOf,
  toJson,
} from "@tessera/graph/internal";
import { EventEmitter } from "eventemitter3";
import type { SteadyConnection } from "./connection.js";
import { EventLog, type EventWriter } from "./events.js";
import { type LifeOfRun, launch } from "./launch.js";
import type { PostgresRecords } from "./records.js";
import { createTables } from "./schema.js";

/** How durable runs are opened: the server, the records, what runs the flows, and when a worker counts as dead. */
export interface DurableSettings {
  /** The URL of the server. DBOS keeps its tables there too, in the schema "dbos". */
  readonly url: string;
  readonly connection: SteadyConnection;
  readonly records: PostgresRecords;
  /** Runs the flows, with the same records: `createTessera({ records, … })`. Every worker needs the same flows. */
  readonly runner: FlowRunner;
  /** The name of the queue. Workers of one queue share its runs. */
  readonly queue?: string | undefined;
  /** How many runs this process executes at the same time; 8 by default. With 0 it only submits runs. */
  readonly concurrency?: number | undefined;
  /**
   * After how many milliseconds without a heartbeat a worker counts as dead, and others take over its runs; 15,000 by
   * default.
   */
  readonly leaseMs?: number | undefined;
  /** How often the queue is polled, in milliseconds; 200 by default. */
  readonly pollMs?: number | undefined;
  /** Whether an API key was revoked, by its id: a run of such a key is cancelled when a worker takes it. */
  readonly isRevoked?: ((key: string) => Promise<boolean>) | undefined;
  /** How often a run is taken over before it fails because it ends every worker; 10 by default. */
  readonly attempts?: number | undefined;
}

const lookMs = 250; // how often a worker looks whether its runs were ended from elsewhere, or something has come to them

const nothing: Spent = { steps: 0, calls: 0, tokens: 0, layers: 0, cost: 0 };

const schema = [
  `CREATE TABLE IF NOT EXISTS tessera.state (
     id text PRIMARY KEY, state text NOT NULL, principal text NOT NULL, holder text,
     started timestamptz NOT NULL DEFAULT now(), ended timestamptz)`,
  // how often it came to rest; a table of an earlier release lacks it
  "ALTER TABLE tessera.state ADD COLUMN IF NOT EXISTS life int NOT NULL DEFAULT 0",
  "CREATE INDEX IF NOT EXISTS state_principal ON tessera.state (principal, started DESC)",
  "CREATE INDEX IF NOT EXISTS state_ended ON tessera.state (ended) WHERE ended IS NOT NULL",
  `CREATE TABLE IF NOT EXISTS tessera.event (
     run text NOT NULL REFERENCES tessera.state ON DELETE CASCADE, sequence int NOT NULL, type text NOT NULL,
     data text NOT NULL, batch text NOT NULL, PRIMARY KEY (run, sequence))`,
  "CREATE TABLE IF NOT EXISTS tessera.worker (id text PRIMARY KEY, seen timestamptz NOT NULL)",
];

/** The runs that forks take steps from, or the runs that those were forked from, as long as the forks have not ended. */
const neededByForks = `
  WITH RECURSIVE needed AS (
    SELECT state::json->'fork'->>'of' AS id FROM tessera.state
      WHERE ended IS NULL AND state LIKE '%"fork":{"of":%' AND state::json->'fork'->>'of' IS NOT NULL
    UNION SELECT source.state::json->'fork'->>'of' FROM needed JOIN tessera.state AS source USING (id)
      WHERE source.state LIKE '%"fork":{"of":%' AND source.state::json->'fork'->>'of' IS NOT NULL)
  SELECT id FROM needed`;

/** A run that this process works on. */
interface Working {
  readonly abort: AbortController;
  /** What it is charged if it ends now, once it has begun. */
  due: () => Spent | undefined;
}

/**
 * Durable runs on PostgreSQL. Any process submits them, the workers of a queue execute them, and if a worker dies
 * another takes over. Each run is a workflow of DBOS with one step; inside it, the flow resumes from its own journal. A
 * run ends once: the first end that is stored counts. The step that was under way when a worker died runs again.
 */
export class DurableRuns implements Runs {
  readonly #running = new Map<string, Working>();
  readonly #log: EventLog;
  readonly #changes = new EventEmitter<Record<string, () => void>>(); // by run: what happened to it in this process
  #watch: NodeJS.Timeout | undefined;
  #closing = false;
  #looking = false;

  private constructor(
    private readonly settings: DurableSettings,
    private readonly queue: Awaited<ReturnType<typeof launch>>,
  ) {
    this.#log = new EventLog(settings.connection);
  }

  /** Opens the durable runs of this process. A process can have only one, because of DBOS. */
  static async open(settings: DurableSettings): Promise<DurableRuns> {
    // DBOS brings its tables up to date as well, and two processes that do so at once fail
    return settings.connection.alone(() => DurableRuns.#open(settings));
  }

  static async #open(settings: DurableSettings): Promise<DurableRuns> {
    await createTables(settings.connection, schema);
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
        const error = new TesseraError("INTERNAL", "every worker that took the run died", { path: id });
        const spent = await spentOf(settings.records, id);
        await runs.#end(state, { status: "failed", error: errorBody(error), spent });
      },
      // a workflow cannot be given before there is something to give it to
      work: async (id, life, signal) => {
        while (!runs) await new Promise((resolve) => setTimeout(resolve, 5));
        await runs.#work({ id, life }, signal);
      },
    });
    runs = new DurableRuns(settings, queue);
    return runs;
  }

  /** @throws TesseraError BAD_ARGUMENT where there is no such flow; CONFLICT, CLOSED as `Runs` says. */
  async start(request: RunRequest): Promise<RunState> {
    const { id, flow, principal } = request;
    if (this.#closing) throw new TesseraError("CLOSED", "no new runs are taken", { path: id });
    if (!request.fork) await this.settings.runner.flow(flow);
    const state = firstState(request);
    await this.settings.connection.query(
      "INSERT INTO tessera.state (id, state, principal) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
      [id, JSON.stringify(state), JSON.stringify(principal.id)],
    );
    const known = await this.#known(id);
    assertSameRun(known, state);
    // handed in again where a crash came between the note and the queue; the queue knows it by its id
    if (known.status === "running") await this.queue.add({ id, life: 0 });
    return known;
  }

  async get(id: string): Promise<RunState | undefined> {
    const { rows } = await this.settings.connection.query<{ state: string }>(
      "SELECT state FROM tessera.state WHERE id = $1",
      [id],
    );
    return rows[0] && (JSON.parse(rows[0].state) as RunState);
  }

  async list({ principal, flows, status, limit }: RunQuery): Promise<RunState[]> {
    const { rows } = await this.settings.connection.query<{ state: string }>(
      `SELECT state FROM tessera.state WHERE ($1::text IS NULL OR principal = $1)
         AND ($3::text[] IS NULL OR state::json->>'flow' = ANY ($3))
         AND ($4::text IS NULL OR state::json->>'status' = $4) ORDER BY started DESC LIMIT $2::int`,
      [principal === undefined ? null : JSON.stringify(principal), limit, flows ?? null, status ?? null],
    );
    return rows.map(({ state }) => JSON.parse(state) as RunState);
  }

  /** @throws TesseraError NOT_FOUND; CONFLICT where it has ended. */
  async cancel(id: string): Promise<RunState> {
    const state = await this.#known(id);
    const running = this.#running.get(id);
    // what another process has in flight is not known here
    const spent = running?.due() ?? ((await this.settings.records.run(id)) ? undefined : nothing);
    const { waits: _, ...rest } = state;
    const cancelled = await this.#end(rest, { status: "cancelled", error: cancellation(id), ...(spent && { spent }) });
    if (!cancelled) throw new TesseraError("CONFLICT", "the run has ended", { path: id });
    running?.abort.abort(new Error("cancelled"));
    await this.settings.records.waits?.remove(id);
    await this.queue.cancel({ id, life: await this.#lifeOf(id) });
    return cancelled;
  }

  /** Runs of a key that were handed in by any process, also by one that has died since. */
  async cancelOf(key: string): Promise<void> {
    const { rows } = await this.settings.connection.query<{ id: string }>(
      "SELECT id FROM tessera.state WHERE ended IS NULL AND state::json->>'key' = $1",
      [key],
    );
    // one that has ended meanwhile cannot be cancelled, and need not be
    const unlessEnded = (thrown: unknown) => {
      if (!TesseraError.is(thrown) || thrown.code !== "CONFLICT") throw thrown;
    };
    for (const { id } of rows) await this.cancel(id).catch(unlessEnded);
  }

  async resume(id: string, budget?: Budget, how: ResumedBy = {}): Promise<RunState> {
    const known = await this.#known(id);
    const running = resumed(known, budget, how);
    if (known.status === "waiting") return this.#goOn(running);
    await this.#released(id);
    const { rows } = await this.settings.connection.query<{ life: number }>(
      "UPDATE tessera.state SET state = $2, ended = NULL WHERE id = $1 AND ended > '-infinity' RETURNING life",
      [id, JSON.stringify(running)],
    );
    if (!rows[0]) throw new TesseraError("CONFLICT", "the run is resumed or forgotten already", { path: id });
    await this.queue.again({ id, life: rows[0].life });
    return running;
  }

  async deliver(id: string, arrival: Arrival, options: AnswerOptions): Promise<boolean> {
    assertMayReceive(await this.#known(id));
    const { runner } = this.settings;
    const { value } = arrival;
    const { goesOn } =
      "path" in arrival
        ? await runner.noteAnswer(id, arrival.path, value, options)
        : await runner.noteSignal(id, arrival.signal, value, options);
    // whoever works on it elsewhere looks from time to time what has come
    return goesOn || (await this.#known(id)).status === "running";
  }

  async #lifeOf(id: string): Promise<number> {
    const { rows } = await this.settings.connection.query<{ life: number }>(
      "SELECT life FROM tessera.state WHERE id = $1",
      [id],
    );
    return rows[0]?.life ?? 0;
  }

  /** Begins the next life of a run that waits, unless somebody else has begun it. */
  async #goOn(running: RunState): Promise<RunState> {
    const { id } = running;
    const { rows } = await this.settings.connection.query<{ life: number }>(
      `UPDATE tessera.state SET state = $2
       WHERE id = $1 AND ended IS NULL AND state::json->>'status' = 'waiting' RETURNING life`,
      [id, JSON.stringify(running)],
    );
    if (!rows[0]) return this.#known(id);
    const next = { id, life: rows[0].life };
    await this.queue.add(next);
    await this.queue.hurry(next);
    return running;
  }

  /** Notes that a run has come to rest, and hands its next life in for when it is due. */
  async #rest(state: RunState, life: number): Promise<void> {
    const { id } = state;
    const { rows } = await this.settings.connection.query(
      "UPDATE tessera.state SET state = $2, life = life + 1 WHERE id = $1 AND ended IS NULL AND life = $3 RETURNING id",
      [id, JSON.stringify(state), life],
    );
    if (rows.length > 0) await this.#schedule(state, life + 1);
    this.#changes.emit(id);
  }

  /** Hands the next life of a run that waits in: at once if something has come meanwhile, or for when it is due. */
  async #schedule(state: RunState, life: number): Promise<void> {
    const { id, waits = [] } = state;
    const dues = waits.flatMap(({ due }) => (due === undefined ? [] : [Date.parse(due)]));
    if (dues.length > 0) await this.queue.add({ id, life }, Math.min(...dues));
    const journal = await this.settings.records.journal(id);
    if (waits.some((wait) => hasCome(journal, wait))) await this.#goOn(resumed(state, undefined));
  }

  /** Waits until the worker of a run that was ended from elsewhere has stopped, or must be dead. */
  async #released(id: string): Promise<void> {
    const until = performance.now() + (this.settings.leaseMs ?? 15_000);
    while (performance.now() < until) {
      const { rows } = await this.settings.connection.query(
        "SELECT FROM tessera.state WHERE id = $1 AND holder IS NOT NULL",
        [id],
      );
      // when it has let go the queue hears of it
      await new Promise((resolve) => setTimeout(resolve, 50));
      if (rows.length === 0) return;
    }
  }

  /** Looks what others did to the runs of this worker, one look after another. */
  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      await this.#letGo();
      await this.#hear();
    } finally {
      this.#looking = false;
    }
  }

  /** Gives runs that are busy and wait somewhere what has come to them through other processes. */
  async #hear(): Promise<void> {
    const { connection, runner } = this.settings;
    const { rows } = await connection.query<{ run: string }>(
      "SELECT run FROM tessera.waiting WHERE run = ANY($1::text[])",
      [[...this.#running.keys()]],
    );
    for (const { run } of rows) await runner.hearArrivals?.(run);
  }

  /** Lets go of runs that were ended from elsewhere. */
  async #letGo(): Promise<void> {
    const { rows } = await this.settings.connection.query<{ id: string }>(
      "SELECT id FROM tessera.state WHERE id = ANY($1::text[]) AND ended IS NOT NULL",
      [[...this.#running.keys()]],
    );
    for (const { id } of rows) this.#running.get(id)?.abort.abort(new Error("the run was ended from elsewhere"));
  }

  /** The events of a run after the event number `after`, until the run ends, whichever worker executes it. */
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
      await this.#changed(id);
    }
  }

  async settled(id: string): Promise<RunState> {
    for (;;) {
      const changed = this.#changed(id); // listened for before the look, so that nothing falls between
      const state = await this.#known(id);
      if (state.status !== "running") return state;
      await changed;
    }
  }

  /** Waits until something happens to a run in this process, or for as long as it may have happened in another. */
  #changed(id: string): Promise<void> {
    return new Promise((resolve) => {
      const forget = systemClock.after(this.settings.pollMs ?? 200, done);
      const changes = this.#changes;
      function done() {
        forget();
        changes.off(id, done);
        resolve();
      }
      changes.on(id, done);
    });
  }

  async records(id: string): Promise<Readonly<Record<string, string>>> {
    return keysOf(await this.settings.records.journal(id));
  }

  /** Their states, events, journals, and the steps that no other run needs; several processes may do it at once. */
  async prune({ runs, ageMs }: Retention): Promise<number> {
    const { connection, records } = this.settings;
    // what is claimed is not resumed any more; where this process dies meanwhile, the next prune goes on with it
    const { rows } = await connection.query<{ id: string; life: number }>(
      `UPDATE tessera.state SET ended = '-infinity' WHERE ended IS NOT NULL AND id IN (
         SELECT id FROM (SELECT id, ended, row_number() OVER (ORDER BY ended DESC) AS place
                         FROM tessera.state WHERE ended IS NOT NULL) AS over
         WHERE place > $1 OR ended < now() - make_interval(secs => $2))
         AND id NOT IN (${neededByForks})
       RETURNING id, life`,
      [runs, ageMs / 1000],
    );
    const ids = rows.map(({ id }) => id);
    const lives = new Map(rows.map(({ id, life }) => [id, life]));
    for (let from = 0; from < ids.length; from += 100) {
      const some = ids.slice(from, from + 100);
      await records.forget(some);
      for (const id of some) await this.queue.forget({ id, life: lives.get(id)! });
      await connection.query("DELETE FROM tessera.state WHERE id = ANY($1::text[])", [some]);
    }
    return ids.length;
  }

  /** Takes no new runs. Runs that take longer than `within` milliseconds are left to the other workers. */
  async close(within = 30_000): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    await this.queue.close(within, () => {
      const closing = new TesseraError("CLOSED", "the worker closes");
      for (const { abort } of this.#running.values()) abort.abort(closing);
    });
  }

  async #known(id: string): Promise<RunState> {
    const state = await this.get(id);
    if (!state) throw new TesseraError("NOT_FOUND", `there is no run "${id}"`);
    return state;
  }

  /** Notes an end, unless another was noted. */
  async #end(state: RunState, end: Partial<RunState>): Promise<RunState | undefined> {
    // one that ends here without an answer has left none; what was done has left its turn before
    if (end.error) await letGoOfThread(this.settings.records, state);
    const ended: RunState = { ...state, ...end, ended: new Date().toISOString() };
    const { rows } = await this.settings.connection.query(
      "UPDATE tessera.state SET state = $2, ended = now() WHERE id = $1 AND ended IS NULL RETURNING id",
      [state.id, JSON.stringify(ended)],
    );
    this.#changes.emit(state.id);
    return rows.length > 0 ? ended : undefined;
  }

  /** The one step of a run's workflow. Does not throw for what the flow threw: that is the run's end. */
  async #work({ id, life }: LifeOfRun, cancelled: AbortSignal): Promise<void> {
    const holder = randomUUID();
    const state = await this.#taken({ id, life }, holder);
    if (!state) return;
    // who works on it need not be the process that its key was shown to
    if (state.key !== undefined && (await this.settings.isRevoked?.(state.key))) {
      const spent = await spentOf(this.settings.records, id);
      await this.#end(state, { status: "cancelled", error: cancellation(id), spent });
      return this.#release(id, holder);
    }
    const abort = new AbortController();
    const forward = () => abort.abort(cancelled.reason);
    cancelled.addEventListener("abort", forward, { once: true });
    const working: Working = { abort, due: () => undefined };
    this.#running.set(id, working);
    this.#watch ??= setInterval(() => void this.#look().catch(() => {}), lookMs).unref();
    const writer = this.#log.writer(id, () => this.#changes.emit(id));
    let end: Partial<RunState>;
    try {
      const { status, output, spent, waits } = await this.#run(state, working, writer.push);
      end = waits
        ? { status, spent, waits: toJson(waits) as unknown as RunState["waits"] & object }
        : { status, output: toJson(output) as RunState["output"] & object, spent };
    } catch (thrown) {
      const error = TesseraError.is(thrown) ? thrown : new TesseraError("INTERNAL", messageOf(thrown), { path: id });
      const spent = working.due();
      warnOfHidden(`the run ${id} failed`, error);
      end = { status: "failed", error: errorBody(error), ...(spent && { spent }) };
    } finally {
      this.#running.delete(id);
      if (this.#running.size === 0) {
        clearInterval(this.#watch);
        this.#watch = undefined;
      }
      cancelled.removeEventListener("abort", forward);
      await writer.close().catch(() => {});
    }
    const aborted = end.status === "failed" && abort.signal.aborted;
    // left to the worker that takes it over
    if (aborted && this.#closing) await new Promise(() => {});
    // else its end was noted by whoever cancelled it
    if (end.waits) await this.#rest({ ...state, ...end }, life);
    else if (!aborted) await this.#end(state, end);
    await this.#release(id, holder);
  }

  async #release(id: string, holder: string): Promise<void> {
    const { connection } = this.settings;
    await connection.query("UPDATE tessera.state SET holder = NULL WHERE id = $1 AND holder = $2", [id, holder]);
  }

  /** Takes a life of a run, unless the run has ended or has another life. */
  async #taken({ id, life }: LifeOfRun, holder: string): Promise<RunState | undefined> {
    const { connection } = this.settings;
    const { rows } = await connection.query<{ state: string; life: number }>(
      `UPDATE tessera.state SET holder = CASE WHEN life = $3 THEN $2 ELSE holder END
       WHERE id = $1 AND ended IS NULL RETURNING state, life`,
      [id, holder, life],
    );
    if (!rows[0]) return undefined;
    const state = JSON.parse(rows[0].state) as RunState;
    // a worker that died when it had noted the rest, and not yet handed the next life in
    if (rows[0].life === life + 1 && state.status === "waiting") await this.#schedule(state, life + 1);
    if (rows[0].life !== life) return undefined;
    if (state.status !== "waiting") return state;
    const running = resumed(state, undefined);
    await connection.query("UPDATE tessera.state SET state = $2 WHERE id = $1 AND ended IS NULL AND life = $3", [
      id,
      JSON.stringify(running),
      life,
    ]);
    return running;
  }

  async #run(state: RunState, working: Working, push: EventWriter["push"]): Promise<RunResult<unknown>> {
    const { records, runner } = this.settings;
    const { id, principal, seed, thread } = state;
    const { signal } = working.abort;
    const events: FlowEvents = new EventEmitter();
    events.on("event", (event) => push(event.type, eventData(event)));
    // nobody iterates its events: they are heard
    const { budget, sampling } = state;
    const watched = { signal, budget, sampling, events, shows: "output" } as const;
    // one that ended before its first note begins anew
    const stream = (await records.run(id))
      ? await runner.resumeStream(id, { ...watched, acceptChanges: state.acceptChanges })
      : await begin(runner, state, { ...watched, id, principal, seed, thread });
    working.due = () => stream.due();
    for await (const part of stream.output) push("output-delta", toJson(part));
    return stream.result;
  }
}

const begin = (
  runner: FlowRunner,
  { flow, input, fork }: RunState,
  options: RunOptions,
): Promise<RunStream<unknown>> =>
  fork ? runner.forkStream(fork.of, fork.change, options) : runner.stream(flow, input, options);
