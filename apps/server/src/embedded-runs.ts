import { type Records, TesseraError } from "@tessera/core";
import { errorBody, KeyedQueue, SlotMap, stampNow, warn, warnOfHidden } from "@tessera/core/internal";
import type { AnswerOptions, Budget, RunResult } from "@tessera/graph";
import {
  type Arrival,
  assertMayReceive,
  assertSameRun,
  cancellation,
  defaultRetention,
  firstState,
  keysOf,
  type LaunchedRun,
  type LaunchOptions,
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
import type { Tessera } from "@tessera/tessera";
import { EndedRuns } from "./ended-runs.js";
import { asTesseraError } from "./errors.js";
import { type EventLimits, eventLimits, LiveRun } from "./live-run.js";
import { noValue, type RunLog } from "./run-log.js";

/** What is kept in memory, where there is no log, of runs that have ended: as many, and as many bytes. */
const kept = { runs: 100, bytes: 64 << 20 } as const;

/** The share of the bytes on disk that runs may take; the rest is for what is not compacted yet. */
const liveShare = 0.4;

// biome-ignore lint/suspicious/noExplicitAny: flows that are known at run time only
export type AnyTessera = Tessera<any>;
type Launched = LaunchedRun<unknown>;
type Begin = (listener: Pick<LaunchOptions, "hear" | "part">) => Launched | Promise<Launched>;

/**
 * Runs in this process. States and events lie in the log of the service, beside the records of the framework object. Without
 * a log nothing outlives the process, which keeps the latest runs that have ended: 100, or 64 MiB of them.
 */
export class EmbeddedRuns implements Runs {
  readonly #live = new SlotMap<LiveRun>();
  readonly #turns = new KeyedQueue();
  /** Without a log: the runs that have ended. */
  readonly #ended = new EndedRuns();
  /** In a log: the runs that ended in this process, those that ended first in front: also where the wall clock went back. */
  readonly #order = new Set<string>();
  #leaving: LiveRun[] = [];
  readonly #limits: EventLimits;
  readonly #bytes: number;
  #pruning = false;
  #closing = false;

  constructor(
    private readonly tessera: AnyTessera,
    private readonly steps: Records | undefined,
    private readonly log?: RunLog,
    { bytes, ...limits }: Partial<EventLimits> & { readonly bytes?: number | undefined } = {},
  ) {
    this.#limits = { ...eventLimits, ...limits };
    this.#bytes = bytes ?? defaultRetention.bytes;
  }

  /** Runs in a log; those of a process that was killed are noted as interrupted. */
  static async open(
    tessera: AnyTessera,
    steps: Records,
    log: RunLog,
    limits: Partial<EventLimits> & { readonly bytes?: number | undefined } = {},
  ): Promise<EmbeddedRuns> {
    const interrupted = [...log.summaries].filter(([, { status }]) => status === "running");
    await Promise.all(
      interrupted.map(async ([id]) => {
        const state = (await log.get(id))!;
        const spent = await spentOf(steps, id);
        await log.save({ ...state, status: "interrupted", spent, ended: stampNow() });
      }),
    );
    return new EmbeddedRuns(tessera, steps, log, limits);
  }

  /** Changes of one run come one after another: two requests of one id at the same time are one run. */
  #alone<T>(id: string, work: () => Promise<T>): Promise<T> {
    return this.#turns.do(id, work);
  }

  start(request: RunRequest): RunState | Promise<RunState> {
    // one that nobody else can know needs no turn
    if (request.isNew && !this.#closing && this.tessera.find(request.flow)) return this.#startNew(request);
    return this.#alone(request.id, () => this.#start(request));
  }

  #startNew(request: RunRequest): RunState | Promise<RunState> {
    const state = firstState(request);
    const live = new LiveRun(state, 0, this.#limits, this.log);
    return this.#noted(live, state, (listener) => this.#launch(request, listener));
  }

  #launch(request: RunRequest, { hear, part }: Parameters<Begin>[0]): Launched | Promise<Launched> {
    const { id, flow, input, principal, budget, sampling, seed, thread, fork } = request;
    const options = { id, principal, budget, sampling, seed, thread, prompts: this.#limits.detailed, hear, part };
    return fork ? this.tessera.launchFork(fork.of, fork.change, options) : this.tessera.launch(flow, input, options);
  }

  async #start(request: RunRequest): Promise<RunState> {
    const { id, flow, budget } = request;
    const state = firstState(request);
    const known = this.#live.has(id) || this.log?.summaries.has(id) ? await this.get(id) : undefined;
    if (known) {
      assertSameRun(known, state);
      return known.status === "interrupted"
        ? this.#resume(id, budget, { acceptChanges: known.acceptChanges, key: request.key })
        : known;
    }
    this.#assertOpen(id);
    if (!request.fork && !this.tessera.find(flow)) await this.tessera.flow(flow);
    return this.#startNew(request);
  }

  /**
   * Begins to run while the state is being written: what the run writes comes behind it in the same log, so that nothing
   * of the run can be there without it.
   */
  #noted(live: LiveRun, state: RunState, begin: Begin): RunState | Promise<RunState> {
    const before = this.#live.get(state.id);
    const saved = before || this.log?.summaries.has(state.id) ? this.log?.save(state) : this.#first(live, state);
    if (before) this.#ended.remove(state.id);
    this.#run(live, begin);
    return saved ? this.#begun({ live, state, before }, saved) : state;
  }

  /** Waits for the first note of a run, without which there is none. */
  async #begun(
    { live, state, before }: { live: LiveRun; state: RunState; before: LiveRun | undefined },
    saved: Promise<void>,
  ): Promise<RunState> {
    try {
      await saved;
    } catch (error) {
      live.abandon(error);
      if (before) this.#live.set(state.id, before);
      else this.#live.delete(state.id);
      throw error;
    }
    return state;
  }

  /** The first note of a run; one that ends before it is written is noted with its end alone. */
  #first(live: LiveRun, state: RunState): Promise<void> | undefined {
    return this.log?.begin(state, () => !live.ending);
  }

  #assertOpen(id: string): void {
    if (this.#closing) throw new TesseraError("CLOSED", "no new runs are taken", { path: id });
  }

  #run(live: LiveRun, begin: Begin): void {
    this.#live.set(live.state.id, live);
    let begun: Launched | Promise<Launched>;
    try {
      begun = begin({ hear: (event) => live.hear(event), part: (part) => live.hearOutput(part) });
    } catch (thrown) {
      return void this.#failed(live, undefined, thrown);
    }
    if (begun instanceof Promise)
      begun.then(
        (run) => this.#follow(live, run),
        (thrown) => this.#failed(live, undefined, thrown),
      );
    else this.#follow(live, begun);
  }

  #follow(live: LiveRun, run: Launched): void {
    live.begun(run);
    // a thread takes its turn before the end is noted, so that no run counts as done whose turn is lost
    const reached = live.state.thread === undefined ? run.reached : run.result;
    reached.then(
      (result) => this.#reached(live, run, result),
      (thrown) => this.#failed(live, run, thrown),
    );
  }

  #reached(live: LiveRun, run: Launched, { status, output, spent, waits }: RunResult<unknown>): void {
    let state: RunState;
    try {
      state = waits
        ? { ...live.state, status, spent, waits: toJson(waits) as unknown as RunState["waits"] & object }
        : { ...live.state, status, output: toJson(output) as RunState["output"] & object, spent, ended: stampNow() };
    } catch (thrown) {
      return void this.#failed(live, run, thrown);
    }
    // behind the records in the same log, so that they share its sync; nobody is told before all of it is written
    const saved = this.#save(live, state);
    if (!saved && run.result === run.reached) this.#end(live, state);
    else
      Promise.all([saved, run.result]).then(
        () => this.#end(live, state),
        (thrown) => this.#failed(live, run, thrown),
      );
  }

  async #failed(live: LiveRun, run: Launched | undefined, thrown: unknown): Promise<void> {
    const failure = this.#failure(live, asTesseraError(thrown));
    const state = { ...live.state, ...failure, ...(run && { spent: run.spent() }), ended: stampNow() };
    await this.#save(live, state);
    this.#end(live, state);
  }

  #save(live: LiveRun, state: RunState): Promise<void> | undefined {
    if (!this.log || live.abandoned) return undefined;
    const saved = this.log.save(state, live.batch());
    live.ending = true;
    return saved.catch((thrown) => {
      live.ending = false;
      warn(`the end of run ${state.id} could not be noted`, thrown);
    });
  }

  #end(live: LiveRun, state: RunState): void {
    const { id } = state;
    live.state = state;
    live.settle(state);
    live.wake();
    const isWaiting = state.status === "waiting";
    if (this.log && !isWaiting) this.#orderLast(id);
    if (this.log && this.#live.get(id) === live && this.log.summaries.get(id)?.status === state.status)
      this.#leave(live);
    else if (!isWaiting) {
      this.#ended.add(id, live.bytes);
      if (this.#live.size > kept.runs || this.#ended.bytes > kept.bytes) this.#forgetOldest();
    }
    this.#pruneIfDue();
  }

  /** Lets go of a run that is in the log, in the next turn of the event loop: who waits for it need not read it there. */
  #leave(live: LiveRun): void {
    if (this.#leaving.length === 0)
      setImmediate(() => {
        const leaving = this.#leaving;
        this.#leaving = [];
        for (const one of leaving) if (this.#live.get(one.state.id) === one) this.#live.delete(one.state.id);
      });
    this.#leaving.push(live);
  }

  /** Forgets the oldest runs where the log has more than its bytes. */
  #pruneIfDue(): void {
    if (!this.log || this.#pruning || this.log.liveBytes <= this.#bytes * liveShare) return;
    this.#pruning = true;
    const none = { runs: Number.POSITIVE_INFINITY, ageMs: Date.now(), bytes: this.#bytes };
    this.prune(none)
      .catch((thrown) => {
        warn("runs that ended could not be forgotten", thrown);
      })
      .finally(() => {
        this.#pruning = false;
      });
  }

  #failure({ state, cancelled }: LiveRun, error: TesseraError): Pick<RunState, "status"> & Partial<RunState> {
    if (cancelled) return { status: "cancelled", error: cancellation(state.id) };
    // a resource that was closed fails its run; only the end of the service leaves one to be taken up
    if (this.#closing && (error.code === "CLOSED" || error.code === "ABORTED")) return { status: "interrupted" };
    warnOfHidden(`the run ${state.id} failed`, error);
    return { status: "failed", error: errorBody(error) };
  }

  /** Without a log: forgets the runs that ended first, down to the limits. */
  #forgetOldest(): void {
    const ids: string[] = [];
    while (this.#live.size > kept.runs || this.#ended.bytes > kept.bytes) {
      const id = this.#ended.takeFirst();
      if (id === undefined) break;
      this.#live.delete(id);
      ids.push(id);
    }
    if (!this.log && this.steps && ids.length > 0)
      this.steps.forget(ids).catch((thrown) => {
        warn("the records of runs that ended could not be forgotten", thrown);
      });
  }

  async get(id: string): Promise<RunState | undefined> {
    return this.#live.get(id)?.state ?? this.log?.get(id);
  }

  async list({ principal, flows, status, limit }: RunQuery): Promise<RunState[]> {
    const ids = this.#summaries()
      .filter((summary) => status === undefined || summary.status === status)
      .filter((summary) => principal === undefined || summary.principal === principal)
      .sort((a, b) => (a.started < b.started ? 1 : -1));
    const short = (id: string) => this.#live.get(id)?.state ?? this.log?.get(id, { long: false });
    const found: RunState[] = [];
    for (let at = 0; at < ids.length && found.length < limit; at += limit)
      for (const state of await Promise.all(ids.slice(at, at + limit).map(({ id }) => short(id))))
        if (state && (!flows || flows.includes(state.flow))) found.push(state);
    return found.slice(0, limit);
  }

  /** Every run there is, without its input and output. */
  #summaries() {
    const known = [...(this.log?.summaries ?? [])].map(([id, summary]) => ({ id, ...summary }));
    if (this.log) return known;
    return [...this.#live.values()].map(({ state: { principal, fork, ...state } }) => ({
      ...state,
      principal: principal.id,
      ...(fork && { of: fork.of }),
    }));
  }

  async #known(id: string): Promise<RunState> {
    const state = await this.get(id);
    if (!state) throw new TesseraError("NOT_FOUND", `there is no run "${id}"`);
    return state;
  }

  cancel(id: string): Promise<RunState> {
    return this.#alone(id, async () => {
      const state = await this.#known(id);
      const live = this.#live.get(id);
      if (state.status === "interrupted" || state.status === "waiting") {
        await this.steps?.waits?.remove(id);
        if (this.steps) await letGoOfThread(this.steps, state);
        const { waits: _, ...rest } = state;
        const ended = stampNow();
        const cancelled: RunState = { ...rest, status: "cancelled", error: cancellation(id), ended };
        this.#orderLast(id);
        await this.log?.save(cancelled);
        if (live) live.state = cancelled;
        return cancelled;
      }
      if (!live || state.status !== "running")
        throw new TesseraError("CONFLICT", `the run has ended: ${state.status}`, { path: id });
      live.cancelled = true;
      live.abort(new Error("cancelled"));
      return live.settled;
    });
  }

  async deliver(id: string, arrival: Arrival, options: AnswerOptions): Promise<boolean> {
    assertMayReceive(await this.#known(id));
    const { value } = arrival;
    const { goesOn } =
      "path" in arrival
        ? await this.tessera.noteAnswer(id, arrival.path, value, options)
        : await this.tessera.noteSignal(id, arrival.signal, value, options);
    return goesOn;
  }

  /** Takes up a run that is due, or that a process left that died after it had waited. Resolves when it rests again. */
  async wake(id: string): Promise<void> {
    const isUp = await this.#alone(id, async () => {
      const state = await this.get(id);
      if (state?.status !== "waiting" && state?.status !== "interrupted") return state !== undefined;
      await this.#resume(id, undefined, {});
      return true;
    });
    if (isUp) await this.settled(id);
    else await this.tessera.resume(id); // one that nobody started here, such as by a program on the same records
  }

  resume(id: string, budget?: Budget, how: ResumedBy = {}): Promise<RunState> {
    return this.#alone(id, () => this.#resume(id, budget, how));
  }

  async #resume(id: string, budget: Budget | undefined, how: ResumedBy): Promise<RunState> {
    const running = resumed(await this.#known(id), budget, how);
    this.#assertOpen(id);
    const recorded = await this.steps?.run(id);
    const events = this.#live.get(id)?.last ?? (await this.log?.events(id))?.at(-1)?.sequence;
    const { sampling, budget: most, acceptChanges } = running;
    const prompts = this.#limits.detailed;
    const live = new LiveRun(running, events ?? 0, this.#limits, this.log);
    return this.#noted(live, running, (listener): Launched | Promise<Launched> =>
      // one that ended before its first note begins anew
      recorded
        ? this.tessera.launchResume(id, { budget: most, sampling, acceptChanges, prompts, ...listener })
        : this.#launch(running, listener),
    );
  }

  async *events(id: string, after = 0): AsyncIterable<RunEvent> {
    const live = this.#live.get(id);
    for (let next = after; ; ) {
      if (!live || next < live.before) {
        const last = live?.before ?? Number.POSITIVE_INFINITY;
        await live?.flush();
        for (const event of (await this.log?.events(id)) ?? [])
          if (event.sequence > next && event.sequence <= last) yield event;
        if (!live) return;
        next = last;
      }
      const event = live.event(next + 1);
      if (event) {
        next = event.sequence;
        yield event;
      } else if (next < live.before) continue;
      else if (live.state.status !== "running") return;
      else await live.next();
    }
  }

  async value(id: string, hash: string): Promise<string> {
    const own = this.#live.get(id)?.value(hash);
    if (own !== undefined) return own;
    // equal values are there once for all runs: one that this run does not name is none of its own
    const text = (await this.log?.names(id, hash)) ? await this.log?.value(hash) : undefined;
    if (text === undefined) throw noValue(hash);
    return text;
  }

  settled(id: string): Promise<RunState> {
    return this.#live.get(id)?.settled ?? this.#known(id);
  }

  async records(id: string): Promise<Readonly<Record<string, string>>> {
    return this.steps ? keysOf(await this.steps.journal(id)) : {};
  }

  async prune({ runs, ageMs, bytes = Number.POSITIVE_INFINITY }: Retention): Promise<number> {
    const since = new Date(Date.now() - ageMs).toISOString();
    const places = new Map([...(this.log ? this.#order : this.#ended.ids)].map((id, place) => [id, place]));
    const placeOf = (id: string) => places.get(id) ?? -1;
    const summaries = this.#summaries();
    const needed = neededByForks(summaries);
    const ended = summaries
      .filter(({ id, status }) => status !== "running" && status !== "waiting" && !this.#turns.has(id))
      .filter(({ id }) => !needed.has(id))
      .sort((a, b) => placeOf(b.id) - placeOf(a.id) || (a.ended! < b.ended! ? 1 : -1));
    const left = ended.filter(({ ended }, place) => place < runs && ended! >= since);
    const ids = ended.filter((one) => !left.includes(one)).map(({ id }) => id);
    await this.#forget(ids);
    // the log may take on disk what counts of it, and as much again
    let count = ids.length;
    while (left.length > 0 && this.log && this.log.liveBytes > bytes * liveShare) {
      const oldest = left.splice(-Math.ceil(left.length / 8)).map(({ id }) => id);
      await this.#forget(oldest);
      count += oldest.length;
    }
    return count;
  }

  #orderLast(id: string): void {
    this.#order.delete(id);
    this.#order.add(id);
  }

  async #forget(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    const forgotten = (async () => {
      // the steps first: what a crash leaves of this is a state, which the next call finds
      await this.steps?.forget(ids);
      for (const id of ids) {
        this.#ended.remove(id);
        this.#live.delete(id);
        this.#order.delete(id);
      }
      await this.log?.remove(ids);
    })();
    // nobody takes one up meanwhile
    await Promise.all(ids.map((id) => this.#alone(id, () => forgotten)));
  }

  async close(within?: number): Promise<void> {
    this.#closing = true;
    await this.tessera.close(within === undefined ? {} : { within });
    await Promise.allSettled([...this.#live.values()].map(({ settled }) => settled));
  }
}

const goesOn: ReadonlySet<string> = new Set(["running", "waiting", "interrupted"]);

/** The runs that forks take steps from, or the runs that those were forked from, as long as the forks have not ended. */
function neededByForks(
  runs: readonly { readonly id: string; readonly status: string; readonly of?: string }[],
): ReadonlySet<string> {
  const sources = new Map(runs.flatMap(({ id, of }) => (of === undefined ? [] : [[id, of] as const])));
  const needed = new Set<string>();
  for (const { status, of } of runs)
    if (of !== undefined && goesOn.has(status))
      for (let id: string | undefined = of; id !== undefined && !needed.has(id); id = sources.get(id)) needed.add(id);
  return needed;
}
