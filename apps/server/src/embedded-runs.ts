import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { canonicalJson, type FlowEvent, type Json, type Records, sha256, TesseraError } from "@tessera/core";
import { type FlowEvents, type RunResult, toJson } from "@tessera/graph";
import type { Tessera } from "@tessera/tessera";
import { EventEmitter } from "eventemitter3";
import { asTesseraError, bodyOf } from "./errors.js";
import type { RunEvent, RunRequest, RunState, Runs } from "./runs.js";

/** What is kept in memory of runs that have ended, and of one run's events. */
const kept = { runs: 100, events: 10_000 } as const;

type Row = { readonly [port: string]: Json };

class Live {
  state: RunState;
  readonly events: RunEvent[] = [];
  readonly stop = new AbortController();
  cancelled = false;
  dropped = 0;
  #waiting: (() => void)[] = [];
  settle!: (state: RunState) => void;
  readonly settled = new Promise<RunState>((resolve) => {
    this.settle = resolve;
  });

  constructor(state: RunState) {
    this.state = state;
  }

  push(type: string, data: Json): void {
    this.events.push({ sequence: this.dropped + this.events.length + 1, type, data });
    if (this.events.length > kept.events) this.dropped += this.events.splice(0, kept.events / 10).length;
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
type Begin = (live: Live, events: FlowEvents) => Promise<RunResult<unknown>>;

/** An event as JSON; one that holds what cannot be written keeps its place. */
function dataOf(event: FlowEvent): Json {
  try {
    return toJson(event.type === "node-error" ? { ...event, error: bodyOf(event.error) } : event);
  } catch {
    return { type: event.type, path: event.path };
  }
}

/**
 * Runs in this process. Their states lie in a folder, one file each, written whole; steps are in the records of the
 * framework object. Without a folder nothing outlives the process. Of ended runs the latest 100 keep their events.
 */
export class EmbeddedRuns implements Runs {
  readonly #live = new Map<string, Live>();
  readonly #starting = new Map<string, Promise<RunState>>();
  #closing = false;

  constructor(
    private readonly tessera: AnyTessera,
    private readonly folder: string | undefined,
    private readonly steps: Records | undefined,
  ) {}

  #path(id: string): string | undefined {
    return this.folder && join(this.folder, `${id}.json`);
  }

  async #save(state: RunState): Promise<void> {
    const path = this.#path(state.id);
    if (!path) return;
    await mkdir(this.folder!, { recursive: true });
    const draft = `${path}.${randomUUID()}`;
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(JSON.stringify(state));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  }

  start(request: RunRequest): Promise<RunState> {
    const { id } = request;
    // two requests of one id at the same time are one run
    const before = this.#starting.get(id) ?? Promise.resolve();
    const next = before.catch(() => {}).then(() => this.#start(request));
    this.#starting.set(id, next);
    const forget = () => void (this.#starting.get(id) === next && this.#starting.delete(id));
    next.then(forget, forget);
    return next;
  }

  async #start({ id, flow, input, principal, budget, seed = 0 }: RunRequest): Promise<RunState> {
    const values = toJson(input) as Row;
    const inputHash = sha256(canonicalJson(values));
    const known = await this.get(id);
    if (known) {
      if (known.flow !== flow || known.inputHash !== inputHash || known.principal.id !== principal.id)
        throw new TesseraError("CONFLICT", "this run was started with another flow or input", {
          path: id,
          hint: "use a new Idempotency-Key",
        });
      return known.status === "interrupted" ? this.resume(id) : known;
    }
    if (this.#closing) throw new TesseraError("CLOSED", "no new runs are taken", { path: id });
    await this.tessera.flow(flow);
    const started = new Date().toISOString();
    const state: RunState = { id, flow, principal, status: "running", input: values, seed, inputHash, started };
    await this.#save(state);
    this.#run(state, async (live, events) => {
      const options = { id, principal, budget, seed, signal: live.stop.signal, events };
      const stream = await this.tessera.stream(flow, input, options);
      for await (const part of stream.output) live.push("output-delta", toJson(part));
      return stream.result;
    });
    return state;
  }

  #run(state: RunState, begin: Begin): void {
    const live = new Live(state);
    this.#live.set(state.id, live);
    void this.#follow(live, begin);
  }

  async #follow(live: Live, begin: Begin): Promise<void> {
    let ended: Partial<RunState>;
    const events: FlowEvents = new EventEmitter();
    events.on("event", (event) => live.push(event.type, dataOf(event)));
    try {
      const { status, output, spent } = await begin(live, events);
      ended = { status, output: toJson(output) as Row, spent };
    } catch (thrown) {
      const error = asTesseraError(thrown);
      const interrupted = error.code === "CLOSED" || (this.#closing && error.code === "ABORTED" && !live.cancelled);
      ended = interrupted
        ? { status: "interrupted" }
        : { status: live.cancelled ? "cancelled" : "failed", error: bodyOf(error) };
    }
    const state: RunState = { ...live.state, ...ended, ended: new Date().toISOString() };
    await this.#save(state).catch((thrown) => process.emitWarning(`a run could not be noted: ${thrown}`));
    live.state = state;
    live.settle(state);
    live.wake();
    await this.#forgetOldest();
  }

  async #forgetOldest(): Promise<void> {
    for (const [id, live] of this.#live) {
      if (this.#live.size <= kept.runs) return;
      if (live.state.status === "running") continue;
      this.#live.delete(id);
      if (!this.folder) await this.steps?.forget(id);
    }
  }

  async get(id: string): Promise<RunState | undefined> {
    const live = this.#live.get(id);
    if (live) return live.state;
    const path = this.#path(id);
    const text = path && (await readFile(path, "utf8").catch(() => undefined));
    if (!text) return undefined;
    try {
      const state = JSON.parse(text) as RunState;
      // who ran it is no more
      return state.status === "running" ? { ...state, status: "interrupted" } : state;
    } catch (cause) {
      throw new TesseraError("RECORD_CORRUPT", "the state of a run is damaged", { path: id, cause });
    }
  }

  async list({ principal, limit }: { principal?: string | undefined; limit: number }): Promise<RunState[]> {
    const files = this.folder ? await readdir(this.folder).catch(() => []) : [];
    const ids = new Set([
      ...this.#live.keys(),
      ...files.filter((name) => name.endsWith(".json")).map((name) => name.slice(0, -5)),
    ]);
    const states = (await Promise.all([...ids].map((id) => this.get(id)))).filter((state) => state !== undefined);
    return states
      .filter((state) => principal === undefined || state.principal.id === principal)
      .sort((a, b) => (a.started < b.started ? 1 : -1))
      .slice(0, limit);
  }

  async #known(id: string): Promise<RunState> {
    const state = await this.get(id);
    if (!state) throw new TesseraError("NOT_FOUND", `there is no run "${id}"`);
    return state;
  }

  async cancel(id: string): Promise<RunState> {
    const state = await this.#known(id);
    const live = this.#live.get(id);
    if (state.status === "interrupted") {
      const cancelled: RunState = { ...state, status: "cancelled", ended: new Date().toISOString() };
      await this.#save(cancelled);
      if (live) live.state = cancelled;
      return cancelled;
    }
    if (!live || state.status !== "running")
      throw new TesseraError("CONFLICT", `the run has ended: ${state.status}`, { path: id });
    live.cancelled = true;
    live.stop.abort(new Error("cancelled"));
    return live.settled;
  }

  async resume(id: string): Promise<RunState> {
    const state = await this.#known(id);
    if (!["interrupted", "failed", "cancelled"].includes(state.status))
      throw new TesseraError("CONFLICT", `a run that is ${state.status} cannot be resumed`, { path: id });
    if (this.#closing) throw new TesseraError("CLOSED", "no new runs are taken", { path: id });
    const { output: _, error: __, ended: ___, ...rest } = state;
    const running: RunState = { ...rest, status: "running" };
    const recorded = await this.steps?.run(id);
    await this.#save(running);
    const { principal, seed } = running;
    this.#run(running, async ({ stop: { signal } }, events) =>
      // one that ended before its first note begins anew
      recorded
        ? this.tessera.resume(id, { signal, events })
        : this.tessera.run(state.flow, state.input, { id, principal, seed, signal, events }),
    );
    return running;
  }

  async *events(id: string, after = 0): AsyncIterable<RunEvent> {
    const live = this.#live.get(id);
    if (!live) return;
    for (let next = after; ; ) {
      if (next < live.dropped) next = live.dropped;
      const event = live.events[next - live.dropped];
      if (event) {
        next = event.sequence;
        yield event;
      } else if (live.state.status !== "running") return;
      else await live.next();
    }
  }

  async settled(id: string): Promise<RunState> {
    return this.#live.get(id)?.settled ?? this.#known(id);
  }

  async records(id: string): Promise<Readonly<Record<string, string>>> {
    return Object.fromEntries((await this.steps?.journal(id)) ?? []);
  }

  async close(within?: number): Promise<void> {
    this.#closing = true;
    await this.tessera.close(within === undefined ? {} : { within });
    await Promise.allSettled([...this.#live.values()].map(({ settled }) => settled));
  }
}
