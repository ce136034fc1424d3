// public: TesseraOptions, CloseOptions, InterruptedRun, Tessera, createTessera
import { AsyncResource } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import { type AnyOperator, type Cache, type Flow, type Records, type RunRecord, TesseraError } from "@tessera/core";
import { abortable, didYouMean, onAbort, sleep, systemClock, warn } from "@tessera/core/internal";
import {
  type CompiledFlow,
  type CompileOptions,
  compile,
  type Observer,
  type ReplayOptions,
  type ResumeOptions,
  type RunOptions,
  type RunResult,
  type RunStream,
} from "@tessera/graph";
import { type LaunchedRun, type LaunchOptions, outerContext, unpack } from "@tessera/graph/internal";
import { operators as all } from "./catalogue.js";
import { type AnyFlow, assertNames, FlowSet, operatorsFor, type Predecessor } from "./flow-set.js";
import { FlowHandle, type TesseraRuns, type UseOfRecord } from "./handle.js";
import { PendingRecords } from "./pending.js";
import { assertReady, pathsOf, pathsWithout, ResourceHost, type Resources } from "./resources.js";

type InputOf<F> = F extends Flow<infer I, infer _> ? I & object : Record<string, unknown>;
type OutputOf<F> = F extends Flow<infer _, infer O> ? O : Record<string, unknown>;
type Flows = Readonly<Record<string, AnyFlow>>;

export interface TesseraOptions<F extends Flows> {
  /** The flows by name, composed in code or read from JSON. A key is the name of its flow's document. */
  readonly flows: F;
  /** What flows may name: `{ store: { docs: () => openStore() }, model: { … }, encoder: { … } }`. */
  readonly resources?: Resources;
  /** Operators beside those of the catalogue, for flows that are read from JSON; flows composed in code bring their own. */
  readonly operators?: readonly AnyOperator[];
  /** Keeps what runs do, so that they can be resumed and replayed. */
  readonly records?: Records;
  readonly cache?: Cache;
  /** Check every value that passes between nodes. */
  readonly validate?: boolean;
  /** Is told of every run: `openTelemetry()` of @tessera/telemetry, say. */
  readonly observer?: Observer;
}

export interface CloseOptions {
  /** How long runs may still take, in milliseconds; by default as long as they need. */
  readonly within?: number;
}

/** A run that did not end in time. Where records are kept, `resume(id)` takes it up behind its last finished step. */
export interface InterruptedRun {
  readonly id: string;
  readonly flow: string;
}

interface Running extends InterruptedRun {
  readonly result: Promise<unknown>;
  abort(reason: unknown): void;
}

/**
 * Flows and what they need, as one object of a service. Runs may be begun from anywhere at once; each keeps the
 * asynchronous context (`AsyncLocalStorage`) of its caller, in operators and in listeners. Resources are opened in the
 * context in which the object was made, so that no request's context lives on in a connection.
 */
export class Tessera<F extends Flows> {
  readonly #outside = new AsyncResource("Tessera");
  readonly #records: PendingRecords | undefined;
  readonly #running = new Set<Running>();
  readonly #handles = new WeakMap<CompiledFlow, FlowHandle>();
  readonly #flowSets = new Set<FlowSet>(); // the current one, and those whose runs have not ended
  #current: FlowSet | undefined;
  #starting: Promise<FlowSet> | undefined;
  #host: ResourceHost;
  #changes: Promise<unknown> = Promise.resolve();
  #draining = false;
  #closing: Promise<readonly InterruptedRun[]> | undefined;

  /** @throws TesseraError INVALID_FLOW where the key of a flow is not the name of its document. */
  constructor(private readonly options: TesseraOptions<F>) {
    assertNames(options.flows);
    this.#host = new ResourceHost(options.resources ?? {});
    this.#records = options.records && new PendingRecords(options.records);
  }

  /**
   * Opens the resources and compiles every flow; a service that starts is one whose flows can run. Called by the first
   * run if not before.
   * @throws TesseraError INVALID_FLOW with the findings of all flows.
   */
  async start(): Promise<this> {
    await this.#ready("start");
    return this;
  }

  async #ready(path: string): Promise<FlowSet> {
    this.#assertOpen(path);
    if (this.#current) return this.#current;
    if (!this.#starting) {
      this.#starting = this.#compile(this.options.flows, this.#host).then((flowSet) => this.#install(flowSet));
      // a start that failed may be tried again
      this.#starting.catch(() => {
        this.#starting = undefined;
      });
    }
    return this.#starting;
  }

  #compile(flows: Flows, host: ResourceHost, before?: Predecessor): Promise<FlowSet> {
    const settings = { ...this.#settings, operators: operatorsFor(flows, this.#given) };
    return this.#outside.runInAsyncScope(() => FlowSet.compile(flows, host, settings, before));
  }

  get #settings(): CompileOptions {
    const { cache, validate, observer } = this.options;
    return { operators: this.operators, records: this.#records, cache, validate, observer };
  }

  #install(flowSet: FlowSet): FlowSet {
    flowSet.install();
    this.#current = flowSet;
    this.#host = flowSet.host;
    this.#flowSets.add(flowSet);
    return flowSet;
  }

  #assertOpen(path: string): void {
    if (this.#draining)
      throw new TesseraError("CLOSED", "no new runs are taken", { path, hint: "the framework object is closing" });
  }

  /**
   * Puts other flows or resources in place of those there are, without a restart: `resources` one by one, `flows` all
   * together (by default they stay). A flow that is the same object as before, and uses none of the resources that are
   * replaced, is not compiled again: a document is not to be changed in place. Runs under way end on what they began with, new ones see the new; what is
   * no longer used is closed when the last of those runs has ended. Reloads happen one after another.
   * @throws TesseraError INVALID_FLOW with all findings, or what a resource could not be opened for: nothing has changed
   * then. CLOSED.
   */
  reload(change: {
    readonly flows?: { readonly [N in keyof F]: AnyFlow } & Flows;
    readonly resources?: Resources;
    /** Resources that go, by kind and name; a flow that names one is a finding. */
    readonly without?: Readonly<Record<string, readonly string[]>>;
  }): Promise<void> {
    const result = this.#changes.then(async () => {
      const before = await this.#ready("reload");
      const { resources = {}, without = {}, flows = before.given } = change;
      assertNames(flows);
      const host = before.host.replacing(resources, without);
      const replaced = new Set([...pathsOf(resources), ...pathsWithout(without)]);
      let next: FlowSet;
      try {
        next = await this.#compile(flows, host, { flowSet: before, replaced });
        this.#assertOpen("reload");
      } catch (error) {
        await host.close().catch(() => {});
        throw error;
      }
      this.#install(next);
      void this.#retire(before);
    });
    this.#changes = result.catch(() => {});
    return result;
  }

  async #retire(flowSet: FlowSet): Promise<void> {
    await flowSet.drain();
    this.#flowSets.delete(flowSet);
    await flowSet.host.close().catch((thrown) => warn("what was replaced could not be closed", thrown));
  }

  /**
   * Whether every flow could run now: what they need is asked whether it answers.
   * @param within milliseconds
   * @throws TesseraError NOT_READY with a finding for each resource that does not; INVALID_FLOW, CLOSED.
   */
  async check(within = 2000): Promise<void> {
    const { host } = await this.#ready("check");
    await assertReady(host.checks, within);
  }

  /**
   * The operators that flows may name: those of the catalogue, those that were given, and those that flows composed in
   * code are made of.
   */
  get operators(): readonly AnyOperator[] {
    return operatorsFor(this.#current?.given ?? this.options.flows, this.#given);
  }

  get #given(): readonly AnyOperator[] {
    return [...all, ...(this.options.operators ?? [])];
  }

  /** The names of the flows there are now. */
  get flows(): readonly string[] {
    return Object.keys(this.#current?.given ?? this.options.flows);
  }

  /**
   * A handle of a flow: what it is, and its runs. They are runs of this object: `close` waits for them, and after a `reload`
   * new ones run the flow that has the name then.
   * @throws TesseraError BAD_ARGUMENT where there is no flow of that name, CLOSED.
   */
  async flow<N extends keyof F & string>(name: N): Promise<FlowHandle<InputOf<F[N]>, OutputOf<F[N]>>> {
    this.#assertOpen(name);
    const flowSet = this.#current ?? (await this.#ready(name));
    return this.find(name) ?? this.#handleOf(name, this.#flowOf(flowSet, name) as unknown as CompiledFlow);
  }

  /** As `flow`, at once; nothing where there is no such flow, or this object has not started yet. */
  find<N extends keyof F & string>(name: N): FlowHandle<InputOf<F[N]>, OutputOf<F[N]>> | undefined {
    const flow = this.#draining ? undefined : this.#current?.flows.get(name);
    if (!flow) return undefined;
    const known = this.#handles.get(flow);
    if (known?.name === name) return known as FlowHandle<InputOf<F[N]>, OutputOf<F[N]>>;
    const handle = this.#handleOf(name, flow);
    this.#handles.set(flow, handle as never);
    return handle;
  }

  #handleOf<N extends keyof F & string>(name: N, flow: CompiledFlow): FlowHandle<InputOf<F[N]>, OutputOf<F[N]>> {
    let last = flow;
    const now = () => {
      last = this.#current?.flows.get(name) ?? last;
      return last;
    };
    const runs: TesseraRuns = {
      run: (input, options) => this.run(name, input as InputOf<F[N]>, options),
      stream: (input, options) => this.stream(name, input as InputOf<F[N]>, options),
      takeUp: (use, start) => this.#takeUp({ ...use, of: name }, start),
    };
    return new FlowHandle(name, now, runs);
  }

  #flowOf<N extends keyof F & string>(flowSet: FlowSet, name: N): CompiledFlow<InputOf<F[N]>, OutputOf<F[N]>> {
    const flow = flowSet.flows.get(name);
    if (!flow)
      throw new TesseraError("BAD_ARGUMENT", `there is no flow "${name}"`, {
        hint: didYouMean(name, flowSet.flows.keys()),
      });
    return flow as unknown as CompiledFlow<InputOf<F[N]>, OutputOf<F[N]>>;
  }

  /** Runs a flow. */
  async run<N extends keyof F & string>(
    name: N,
    input: InputOf<F[N]>,
    options?: RunOptions,
  ): Promise<RunResult<OutputOf<F[N]>>> {
    const { result } = await this.#begin(name, options, (flowSet, options) => ({
      result: this.#flowOf(flowSet, name).run(input, options),
    }));
    return result;
  }

  /** Runs a flow and shows what happens; leaving the iteration early aborts the run. */
  stream<N extends keyof F & string>(
    name: N,
    input: InputOf<F[N]>,
    options?: RunOptions,
  ): Promise<RunStream<OutputOf<F[N]>>> {
    return this.#begin(name, options, (flowSet, options) => this.#flowOf(flowSet, name).stream(input, options));
  }

  /**
   * Runs a flow, and tells what happens by calls: what a service does for every request. Once this object has started, the
   * run begins in this turn of the event loop.
   */
  launch<N extends keyof F & string>(
    name: N,
    input: InputOf<F[N]>,
    options: LaunchOptions = {},
  ): LaunchedRun<OutputOf<F[N]>> | Promise<LaunchedRun<OutputOf<F[N]>>> {
    return this.#launched(name, options, (flowSet, options) => this.#flowOf(flowSet, name).launch(input, options));
  }

  #launched<O>(
    flow: string,
    options: LaunchOptions,
    launch: (flowSet: FlowSet, options: LaunchOptions) => LaunchedRun<O>,
  ): LaunchedRun<O> | Promise<LaunchedRun<O>> {
    const begin = (given: LaunchOptions): LaunchedRun<O> => {
      const flowSet = this.#current!;
      const run = launch(flowSet, given);
      if (run.over && run.reached === run.result) return run; // nothing is to be waited for
      const running: Running = { id: run.id, flow, result: run.result, abort: run.abort };
      this.#running.add(running);
      flowSet.follow(run.result, () => this.#running.delete(running));
      return run;
    };
    if (!this.#current) {
      const outer = outerContext(options);
      return this.#ready(flow).then(() => begin({ ...options, outer }));
    }
    try {
      this.#assertOpen(flow);
      return begin(options);
    } catch (thrown) {
      return Promise.reject(thrown);
    }
  }

  /**
   * Takes up a run that was interrupted: finished steps are not run again. It ends on the document that it began with, also
   * where its flow was replaced or removed meanwhile; with `acceptChanges` on the flow of that name as it is now.
   * @throws TesseraError RECORD_MISSING where it is not known; CONFLICT where an operator has another version by now, or the
   * run is under way; INVALID_FLOW where its document can no longer run; BAD_ARGUMENT where its flow is no more, and no
   * document was kept.
   */
  async resume(id: string, options?: ResumeOptions): Promise<RunResult> {
    const { result } = await this.#takeUp({ id, options, asItIsNow: options?.acceptChanges }, (flow, options) => ({
      result: flow.resume(id, options),
    }));
    return result;
  }

  /** As `resume`, and shows what happens. */
  resumeStream(id: string, options?: ResumeOptions): Promise<RunStream<Record<string, unknown>>> {
    return this.#takeUp({ id, options, asItIsNow: options?.acceptChanges }, (flow, options) =>
      flow.resumeStream(id, options),
    );
  }

  /** As `resume`, and tells what happens by calls. */
  launchResume(
    id: string,
    options?: ResumeOptions & Pick<LaunchOptions, "hear" | "part">,
  ): Promise<LaunchedRun<Record<string, unknown>>> {
    return this.#takeUp({ id, options, asItIsNow: options?.acceptChanges }, (flow, options) =>
      flow.launchResume(id, options),
    );
  }

  /**
   * Runs a recorded run again from its records alone, on the document that it began with: no operator and no model is called.
   * @throws TesseraError RECORD_MISSING where the run is not known or a step was not recorded; INVALID_FLOW where its
   * document can no longer be compiled; BAD_ARGUMENT where its flow has changed, and no document was kept.
   */
  async replay(id: string, options?: ReplayOptions): Promise<RunResult> {
    const { result } = await this.#takeUp({ id, options }, (flow, options) => ({ result: flow.replay(id, options) }));
    return result;
  }

  /**
   * A new run of the recorded run's flow as it is now, on what that run left: only steps whose key changed, and those after
   * them, are computed. Where the flow was removed, it runs the document that the recorded run began with.
   * @param id the recorded run; `options.id` names the new one
   * @param input of the new run; by default that of the recorded one
   * @throws TesseraError as `resume`, and as `run`
   */
  async whatIf(id: string, input?: Record<string, unknown>, options?: RunOptions): Promise<RunResult> {
    const { result } = await this.#takeUp(
      { id, options, asItIsNow: true, as: options?.id ?? randomUUID() },
      (flow, options) => ({
        result: flow.whatIf(id, input, options),
      }),
    );
    return result;
  }

  /** Begins what stands on a recorded run: on the flow that it began with, or on the flow of that name as it is now. */
  async #takeUp<T extends { readonly result: Promise<RunResult<unknown>> }>(
    { id, of, as = id, options, asItIsNow = false }: UseOfRecord,
    start: (flow: CompiledFlow, options: RunOptions) => T,
  ): Promise<T> {
    this.#assertOpen(id);
    const record = await this.#records?.run(id);
    if (!record) throw new TesseraError("RECORD_MISSING", `no run "${id}" is recorded`, { path: id });
    if (of !== undefined && record.flow !== of)
      throw new TesseraError("BAD_ARGUMENT", `run "${id}" is one of the flow "${record.flow}"`, {
        path: id,
        hint: `take the handle of that flow: flow("${record.flow}")`,
      });
    return this.#begin(record.flow, { ...options, id: as }, (flowSet, options) => {
      const now = flowSet.flows.get(record.flow);
      const isSame = now?.hash === record.hash;
      const flow = asItIsNow || isSame || !record.document.document ? now : undefined;
      if (flow) return start(flow, options);
      return this.#compileKept(record, flowSet.host).then((flow) => start(flow, options));
    });
  }

  /** The flow that a run began with, from the document that is kept with it. */
  async #compileKept(record: RunRecord, host: ResourceHost): Promise<CompiledFlow> {
    const kept = this.#records && (await unpack(record.document, this.#records)).document;
    if (!kept)
      throw new TesseraError("BAD_ARGUMENT", `there is no flow "${record.flow}", and no document was kept`, {
        path: record.id,
      });
    return this.#outside.runInAsyncScope(() => compile(kept, { ...this.#settings, host }));
  }

  /** Begins a run that can be ended from here. */
  async #begin<T extends { readonly result: Promise<RunResult<unknown>> }>(
    flow: string,
    options: RunOptions = {},
    start: (flowSet: FlowSet, options: RunOptions) => T | Promise<T>,
  ): Promise<T> {
    const { signal, id = randomUUID() } = options;
    const outer = outerContext(options);
    const controller = new AbortController();
    const abort = (reason: unknown) => controller.abort(reason);
    const release = signal && onAbort(signal, abort);

    const aborted = (cause: unknown) =>
      new TesseraError("ABORTED", "the run was aborted before it began", { path: flow, cause });
    const ready = this.#current
      ? this.#ready(flow)
      : abortable(this.#ready(flow), { signal: controller.signal, aborted });
    const beginning = ready.then((before) => {
      const flowSet = this.#current ?? before; // a reload may have come in between
      const begun = start(flowSet, { ...options, id, outer, signal: controller.signal });
      flowSet.follow(begun instanceof Promise ? begun.then(({ result }) => result) : begun.result);
      return begun;
    });
    const run: Running = { id, flow, abort, result: beginning.then(({ result }) => result) };
    this.#running.add(run);
    const forget = () => {
      this.#running.delete(run);
      release?.();
    };
    run.result.then(forget, forget);
    return beginning;
  }

  /** Takes no new runs, and waits for those under way. */
  async drain(): Promise<void> {
    this.#draining = true;
    await Promise.allSettled([...this.#running].map(({ result }) => result));
  }

  /**
   * Takes no new runs, waits for those under way, and closes every resource that was opened. Runs that take longer than
   * `within` are aborted, behind the last step whose record is committed.
   * @returns the runs that were aborted
   * @throws TesseraError STORE_FAILED where something could not be closed; everything else is, all the same.
   */
  close(options: CloseOptions = {}): Promise<readonly InterruptedRun[]> {
    this.#draining = true;
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  async #close({ within }: CloseOptions): Promise<readonly InterruptedRun[]> {
    const interrupted: InterruptedRun[] = [];
    const interrupt = () => void interrupted.push(...this.#interrupt().map(({ id, flow }) => ({ id, flow })));
    const forget = within === undefined ? undefined : systemClock.after(within, interrupt);
    await this.drain();
    forget?.();
    const changing = Promise.allSettled([this.#starting, this.#changes]);
    // what hangs while it opens must not hang the end
    const late = within === undefined ? [] : [sleep(within, { background: true }).then(() => "late")];
    const patient = (await Promise.race([changing, ...late])) !== "late";
    const failures: unknown[] = [];
    for (const host of new Set([this.#host, ...[...this.#flowSets].map(({ host }) => host)]))
      await host.close({ patient }).catch((thrown) => failures.push(thrown));
    await this.#records?.close();
    if (failures.length > 0) throw failures[0];
    return interrupted;
  }

  #interrupt(): Running[] {
    const late = [...this.#running];
    const hint = this.#records ? "resume(id) takes it up behind its last finished step" : "it may be run again";
    for (const { id, abort } of late)
      abort(new TesseraError("CLOSED", "the service closed before the run ended", { path: id, hint }));
    return late;
  }
}

/**
 * Makes the one object that a service holds: its flows, and the resources that they name. Nothing is opened before it
 * starts.
 * @throws TesseraError INVALID_FLOW where the key of a flow is not the name of its document.
 */
export const createTessera = <const F extends Flows>(options: TesseraOptions<F>): Tessera<F> => new Tessera(options);
