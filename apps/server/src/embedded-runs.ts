import { errorBody, type Json, messageOf, type Records, TesseraError } from "@tessera/core";
import {
  assertSameRun,
  type Budget,
  cancellation,
  eventData,
  type FlowEvents,
  firstState,
  keysOf,
  type Retention,
  type RunEvent,
  type RunRequest,
  type RunState,
  type RunStream,
  type Runs,
  resumed,
  spentOf,
  toJson,
} from "@tessera/graph";
import type { Tessera } from "@tessera/tessera";
import { EventEmitter } from "eventemitter3";
import { asTesseraError } from "./errors.js";
import type { RunFolder } from "./run-folder.js";

/** What is kept in memory of runs that have ended, and of one run's events. */
const kept = { runs: 100, events: 10_000 } as const;

/** A run that this process began or took up, and the latest of its events. */
class Live {
  readonly events: RunEvent[] = [];
  readonly stop = new AbortController();
  cancelled = false;
  #waiting: (() => void)[] = [];
  settle!: (state: RunState) => void;
  readonly settled = new Promise<RunState>((resolve) => {
    this.settle = resolve;
  });

  /** @param before how many events there are that are not in memory */
  constructor(
    public state: RunState,
    public before: number,
    readonly writer?: ReturnType<RunFolder["writer"]>,
  ) {}

  push(type: string, data: Json): void {
    const event = { sequence: this.before + this.events.length + 1, type, data };
    this.events.push(event);
    this.writer?.push(event);
    if (this.events.length > kept.events) this.before += this.events.splice(0, kept.events / 10).length;
    this.wake();
  }

  wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

// biome-ignore lint/suspicious/noExplicitAny: flows that are known at run time only
export type AnyTessera = Tessera<any>;
type Begin = (live: Live, events: FlowEvents) => Promise<RunStream<unknown>>;

/**
 * Runs in this process. States and events lie in a folder, steps in the records of the framework object. Without a folder
 * nothing outlives the process, which keeps the latest 100 runs that have ended.
 */
export class EmbeddedRuns implements Runs {
  readonly #live = new Map<string, Live>();
  readonly #changing = new Map<string, Promise<unknown>>();
  #closing = false;

  constructor(
    private readonly tessera: AnyTessera,
    private readonly steps: Records | undefined,
    private readonly folder?: RunFolder,
  ) {}

  /** Runs in a folder; those of a process that was killed are noted as interrupted. */
  static async open(tessera: AnyTessera, steps: Records, folder: RunFolder): Promise<EmbeddedRuns> {
    for (const [id, { status }] of [...folder.summaries])
      if (status === "running") {
        const state = (await folder.get(id))!;
        const spent = await spentOf(steps, id);
        await folder.save({ ...state, status: "interrupted", spent, ended: new Date().toISOString() });
      }
    return new EmbeddedRuns(tessera, steps, folder);
  }

  /** Changes of one run come one after another: two requests of one id at the same time are one run. */
  #alone<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#changing.get(id) ?? Promise.resolve();
    const next = before.catch(() => {}).then(work);
    this.#changing.set(id, next);
    const forget = () => void (this.#changing.get(id) === next && this.#changing.delete(id));
    next.then(forget, forget);
    return next;
  }

  start(request: RunRequest): Promise<RunState> {
    return this.#alone(request.id, () => this.#start(request));
  }

  async #start(request: RunRequest): Promise<RunState> {
    const { id, flow, input, principal, budget, sampling, seed } = request;
    const state = firstState(request);
    const known = await this.get(id);
    if (known) {
      assertSameRun(known, state);
      return known.status === "interrupted" ? this.#resume(id, budget) : known;
    }
    this.#assertOpen(id);
    await this.tessera.flow(flow);
    await this.folder?.save(state);
    this.#run(new Live(state, 0, this.folder?.writer(id)), ({ stop: { signal } }, events) =>
      this.tessera.stream(flow, input, { id, principal, budget, sampling, seed, signal, events }),
    );
    return state;
  }

  #assertOpen(id: string): void {
    if (this.#closing) throw new TesseraError("CLOSED", "no new runs are taken", { path: id });
  }

  #run(live: Live, begin: Begin): void {
    this.#live.set(live.state.id, live);
    void this.#follow(live, begin);
  }

  async #follow(live: Live, begin: Begin): Promise<void> {
    const { id } = live.state;
    let ended: Partial<RunState>;
    let stream: RunStream<unknown> | undefined;
    const events: FlowEvents = new EventEmitter();
    events.on("event", (event) => live.push(event.type, eventData(event)));
    try {
      stream = await begin(live, events);
      for await (const part of stream.output) live.push("output-delta", toJson(part));
      const { status, output, spent } = await stream.result;
      ended = { status, output: toJson(output) as RunState["output"] & object, spent };
    } catch (thrown) {
      ended = { ...this.#failure(live, asTesseraError(thrown)), ...(stream && { spent: stream.spent() }) };
    }
    const state: RunState = { ...live.state, ...ended, ended: new Date().toISOString() };
    await live.writer?.flush();
    await this.folder?.save(state).catch((thrown) => {
      process.emitWarning(`the end of run ${id} could not be noted: ${messageOf(thrown)}`, "TesseraWarning");
    });
    live.state = state;
    live.settle(state);
    live.wake();
    await this.#forgetOldest();
  }

  #failure({ state, cancelled }: Live, error: TesseraError): Pick<RunState, "status"> & Partial<RunState> {
    if (cancelled) return { status: "cancelled", error: cancellation(state.id) };
    if (error.code === "CLOSED" || (this.#closing && error.code === "ABORTED")) return { status: "interrupted" };
    return { status: "failed", error: errorBody(error) };
  }

  async #forgetOldest(): Promise<void> {
    for (const [id, live] of this.#live) {
      if (this.#live.size <= kept.runs) return;
      if (live.state.status === "running") continue;
      this.#live.delete(id);
      if (!this.folder) await this.steps?.forget([id]);
    }
  }

  async get(id: string): Promise<RunState | undefined> {
    return this.#live.get(id)?.state ?? this.folder?.get(id);
  }

  async list({ principal, limit }: { principal?: string | undefined; limit: number }): Promise<RunState[]> {
    const ids = this.#summaries()
      .filter((summary) => principal === undefined || summary.principal === principal)
      .sort((a, b) => (a.started < b.started ? 1 : -1))
      .slice(0, limit);
    return (await Promise.all(ids.map(({ id }) => this.get(id)))).filter((state) => state !== undefined);
  }

  /** Every run there is, without its input and output. */
  #summaries() {
    const known = [...(this.folder?.summaries ?? [])].map(([id, summary]) => ({ id, ...summary }));
    if (this.folder) return known;
    return [...this.#live.values()].map(({ state: { principal, ...state } }) => ({
      ...state,
      principal: principal.id,
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
      if (state.status === "interrupted") {
        const ended = new Date().toISOString();
        const cancelled: RunState = { ...state, status: "cancelled", error: cancellation(id), ended };
        await this.folder?.save(cancelled);
        if (live) live.state = cancelled;
        return cancelled;
      }
      if (!live || state.status !== "running")
        throw new TesseraError("CONFLICT", `the run has ended: ${state.status}`, { path: id });
      live.cancelled = true;
      live.stop.abort(new Error("cancelled"));
      return live.settled;
    });
  }

  resume(id: string, budget?: Budget): Promise<RunState> {
    return this.#alone(id, () => this.#resume(id, budget));
  }

  async #resume(id: string, budget: Budget | undefined): Promise<RunState> {
    const running = resumed(await this.#known(id), budget);
    this.#assertOpen(id);
    const recorded = await this.steps?.run(id);
    const before = this.#live.get(id);
    const events = before ? before.before + before.events.length : (await this.folder?.events(id))?.at(-1)?.sequence;
    await this.folder?.save(running);
    const live = new Live(running, events ?? 0, this.folder?.writer(id));
    const { flow, input, principal, sampling, seed, budget: most } = running;
    this.#run(live, ({ stop: { signal } }, events) =>
      // one that ended before its first note begins anew
      recorded
        ? this.tessera.resumeStream(id, { budget: most, sampling, signal, events })
        : this.tessera.stream(flow, input, { id, principal, seed, budget: most, sampling, signal, events }),
    );
    return running;
  }

  async *events(id: string, after = 0): AsyncIterable<RunEvent> {
    const live = this.#live.get(id);
    for (let next = after; ; ) {
      if (!live || next < live.before) {
        const last = live?.before ?? Number.POSITIVE_INFINITY;
        await live?.writer?.flush();
        for (const event of (await this.folder?.events(id)) ?? [])
          if (event.sequence > next && event.sequence <= last) yield event;
        if (!live) return;
        next = last;
      }
      const event = live.events[next - live.before];
      if (event) {
        next = event.sequence;
        yield event;
      } else if (next < live.before) continue;
      else if (live.state.status !== "running") return;
      else await live.next();
    }
  }

  async settled(id: string): Promise<RunState> {
    return this.#live.get(id)?.settled ?? this.#known(id);
  }

  async records(id: string): Promise<Readonly<Record<string, string>>> {
    return this.steps ? keysOf(await this.steps.journal(id)) : {};
  }

  async prune({ runs, ageMs }: Retention): Promise<number> {
    const since = new Date(Date.now() - ageMs).toISOString();
    const ids = this.#summaries()
      .filter(({ id, status }) => status !== "running" && !this.#changing.has(id))
      .sort((a, b) => (a.ended! < b.ended! ? 1 : -1))
      .filter(({ ended }, place) => place >= runs || ended! < since)
      .map(({ id }) => id);
    if (ids.length === 0) return 0;
    const forgotten = (async () => {
      // the steps first: what a crash leaves of this is a state, which the next call finds
      await this.steps?.forget(ids);
      for (const id of ids) {
        this.#live.delete(id);
        await this.folder?.remove(id);
      }
    })();
    // nobody takes one up meanwhile
    await Promise.all(ids.map((id) => this.#alone(id, () => forgotten)));
    return ids.length;
  }

  async close(within?: number): Promise<void> {
    this.#closing = true;
    await this.tessera.close(within === undefined ? {} : { within });
    await Promise.allSettled([...this.#live.values()].map(({ settled }) => settled));
  }
}
