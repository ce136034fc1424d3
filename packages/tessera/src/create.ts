// public: Tessera, createTessera
import { AsyncResource } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import {
  type AnyOperator,
  type Cache,
  type Flow,
  type FlowDocument,
  type Records,
  type RunRecord,
  TesseraError,
} from "@tessera/core";
import { abortable, didYouMean, onAbort, Slots, sleep, systemClock, warn } from "@tessera/core/internal";
import {
  type AnswerOptions,
  type CompiledFlow,
  type CompileOptions,
  compile,
  type RunOptions,
  type RunResult,
  type RunStream,
  type Wait,
} from "@tessera/graph";
import {
  Alarm,
  type LaunchedRun,
  type LaunchOptions,
  openWaitsOf,
  outerContext,
  type ResumeOptions,
  unpack,
} from "@tessera/graph/internal";
import { operators as all } from "./catalogue.js";
import { type AnyFlow, assertNames, FlowSet, operatorsFor, type Predecessor } from "./flow-set.js";
import { FlowHandle, type TesseraRuns, type UseOfRecord } from "./handle.js";
import type {
  CloseOptions,
  Delivered,
  Flows,
  InterruptedRun,
  Replacement,
  TesseraOptions,
  WaitingQuery,
} from "./options.js";
import { PendingRecords } from "./pending.js";
import { RecordedRuns } from "./recorded-runs.js";
import { assertReady, pathsOf, pathsWithout, ResourceHost } from "./resources.js";
import { type AdmittedRun, interruptAll, type Running } from "./running.js";
import { Threads } from "./threads.js";

type InputOf<F> = F extends Flow<infer I, infer _> ? I & object : Record<string, unknown>;
type OutputOf<F> = F extends Flow<infer _, infer O> ? O : Record<string, unknown>;
type AcceptedChanges = Pick<ResumeOptions, "acceptChanges">;

/**
 * The one object of a service: its flows and their resources. Any number of runs may begin at the same time. Each keeps
 * the asynchronous context (`AsyncLocalStorage`) of its caller, in operators and in listeners. Resources are opened in
 * the context in which the object was made, so that a connection does not keep the context of a request alive.
 */
export class Tessera<F extends Flows> extends RecordedRuns {
  readonly #outside = new AsyncResource("Tessera");
  readonly #records: PendingRecords | undefined;
  readonly #running = new Slots<Running>();
  readonly #handles = new WeakMap<CompiledFlow, FlowHandle>();
  readonly #flowSets = new Set<FlowSet>(); // the current one, and those whose runs have not ended
  #current: FlowSet | undefined;
  #starting: Promise<FlowSet> | undefined;
  #host: ResourceHost;
  #changes: Promise<unknown> = Promise.resolve();
  #alarm: Alarm | undefined;
  #draining = false;
  #closing: Promise<readonly InterruptedRun[]> | undefined;

  /** @throws TesseraError INVALID_FLOW if the key of a flow is not the name of its document. */
  constructor(private readonly options: TesseraOptions<F>) {
    super();
    assertNames(options.flows);
    this.#host = new ResourceHost(options.resources ?? {});
    this.#records = options.records && new PendingRecords(options.records);
    const { wake = (run: string) => this.resume(run) } = options;
    const notes = this.#records?.waits;
    if (notes && wake) this.#alarm = new Alarm(notes, wake);
  }

  /**
   * Opens the resources and compiles every flow, so that all flows can run. The first run calls it if nobody has.
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
    this.#alarm?.startFor(this.#records!);
    return flowSet;
  }

  #assertOpen(path: string): void {
    if (this.#draining)
      throw new TesseraError("CLOSED", "no new runs are taken", { path, hint: "the framework object is closing" });
  }

  /**
   * Replaces flows or resources while the service runs: `resources` one by one, `flows` all together (by default they
   * stay). A flow is not compiled again if it is the same object as before and uses no replaced resource; so do not
   * change a document in place. A run ends on the flows and resources that it began with. A replaced resource is closed
   * when the last run that uses it has ended. Reloads are executed one after another.
   * @throws TesseraError INVALID_FLOW with all findings, or the error of a resource that could not be opened: then
   * nothing has changed. CLOSED.
   */
  reload(change: Replacement<{ readonly [N in keyof F]: AnyFlow } & Flows>): Promise<void> {
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
   * Asks every resource that can be asked whether it answers, so that every flow could run now.
   * @param within milliseconds
   * @throws TesseraError NOT_READY with a finding for each resource that does not answer; INVALID_FLOW, CLOSED.
   */
  async check(within = 2000): Promise<void> {
    const { host } = await this.#ready("check");
    await assertReady(host.checks, within);
  }

  /**
   * Compiles a document on the current operators and resources, and installs nothing.
   * @throws TesseraError INVALID_FLOW with every finding; BAD_DOCUMENT, DOCUMENT_TOO_LARGE, CLOSED.
   */
  async examine(document: unknown): Promise<Pick<CompiledFlow, "hash" | "bound" | "writes" | "resources">> {
    const { host } = await this.#ready("examine");
    return this.#outside.runInAsyncScope(() => compile(document, { operators: this.operators, host }));
  }

  /**
   * Does some work with documents that it compiles on the current operators and resources, which stay open until the work
   * has ended. Nothing is installed.
   * @throws TesseraError CLOSED, and what the work throws.
   */
  async compiling<T>(
    work: (compile: (document: unknown, cache?: Cache) => Promise<CompiledFlow>) => Promise<T>,
  ): Promise<T> {
    const flowSet = await this.#ready("compiling");
    const { host } = flowSet;
    const done = work((document, cache) =>
      this.#outside.runInAsyncScope(() => compile(document, { operators: this.operators, host, cache })),
    );
    flowSet.follow(done);
    return done;
  }

  /**
   * The operators that flows may use: those of the catalogue, those that were given, and those of flows composed in
   * code.
   */
  get operators(): readonly AnyOperator[] {
    return operatorsFor(this.#current?.given ?? this.options.flows, this.#given);
  }

  get #given(): readonly AnyOperator[] {
    return [...all, ...(this.options.operators ?? [])];
  }

  /** The names of the current flows. */
  get flows(): readonly string[] {
    return Object.keys(this.#current?.given ?? this.options.flows);
  }

  /**
   * Returns a handle of a flow, which describes and runs it. Its runs belong to this object: `close` waits for them,
   * and after a `reload` new runs use the flow that has the name then.
   * @throws TesseraError BAD_ARGUMENT if there is no flow of that name; CLOSED.
   */
  async flow<N extends keyof F & string>(name: N): Promise<FlowHandle<InputOf<F[N]>, OutputOf<F[N]>>> {
    this.#assertOpen(name);
    const flowSet = this.#current ?? (await this.#ready(name));
    return this.find(name) ?? this.#handleOf(name, this.#flowOf(flowSet, name) as unknown as CompiledFlow);
  }

  /** As `flow`, but without waiting. Undefined if there is no such flow, or if this object has not started yet. */
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
      takeUp: (use, start) => this.takeUp({ ...use, of: name }, start),
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
    const admitted = this.#admit(name, options);
    try {
      const flowSet = await admitted.ready;
      const result = this.#flowOf(flowSet, name).run(input, admitted.options);
      flowSet.follow(result);
      return await result;
    } finally {
      admitted.ended();
    }
  }

  /** Runs a flow and returns its events as a stream. Leaving the iteration early aborts the run. */
  stream<N extends keyof F & string>(
    name: N,
    input: InputOf<F[N]>,
    options?: RunOptions,
  ): Promise<RunStream<OutputOf<F[N]>>> {
    return this.#begin(name, options, (flowSet, options) => this.#flowOf(flowSet, name).stream(input, options));
  }

  /**
   * Runs a flow and reports its events by calls, as a service does for every request. Once this object has started, the
   * run begins in the same turn of the event loop.
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
      const running: Running = { id: run.id, flow, result: run.result, abort: (reason) => run.abort(reason) };
      const slot = this.#running.add(running);
      flowSet.follow(run.result, () => this.#running.remove(slot));
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
   * Continues an interrupted run. Finished steps are not run again. The run ends on the document that it began with,
   * even if its flow was replaced or removed; with `acceptChanges`, on the current flow of that name.
   * @throws TesseraError RECORD_MISSING if the run is not recorded; CONFLICT if an operator has another version now, or
   * if the run is under way; INVALID_FLOW if its document can no longer run; BAD_ARGUMENT if its flow was removed and
   * its document was not kept.
   */
  async resume(id: string, options?: ResumeOptions): Promise<RunResult> {
    const { result } = await this.takeUp({ id, options, asItIsNow: options?.acceptChanges }, (flow, options) => ({
      result: flow.resume(id, options),
    }));
    return result;
  }

  /** As `resume`, but returns the events as a stream. */
  resumeStream(id: string, options?: ResumeOptions): Promise<RunStream<Record<string, unknown>>> {
    return this.takeUp({ id, options, asItIsNow: options?.acceptChanges }, (flow, options) =>
      flow.resumeStream(id, options),
    );
  }

  /** As `resume`, but reports events by calls. */
  launchResume(
    id: string,
    options?: ResumeOptions & Pick<LaunchOptions, "hear" | "part">,
  ): Promise<LaunchedRun<Record<string, unknown>>> {
    return this.takeUp({ id, options, asItIsNow: options?.acceptChanges }, (flow, options) =>
      flow.launchResume(id, options),
    );
  }

  /** The conversations that runs with a `thread` worked on. */
  get threads(): Threads {
    return new Threads(this.#records);
  }

  /** What runs wait for; those that have waited longest come first. A run that is under way is listed too. */
  async waiting({ run, flow, principal, limit = 100 }: WaitingQuery = {}): Promise<Wait[]> {
    const records = this.#records;
    if (!records?.waits) return [];
    const notes = run === undefined ? await records.waits.list({ flow, principal, limit }) : [{ run }];
    const waits = await Promise.all(
      notes.map(async ({ run }) => {
        const record = await records.run(run);
        return record && (await records.waits!.get(run)) ? openWaitsOf(records, record) : [];
      }),
    );
    return waits.flat();
  }

  /**
   * Answers the wait of a run at a path, and continues the run. The answer is kept before anything runs. Several waits of
   * a run may be answered in any order, also while the run is under way.
   * @returns what the run comes to: it ends, or waits for something else
   * @throws TesseraError NOT_FOUND where nothing waits there; CONFLICT where the wait has ended already; BAD_INPUT where
   * the answer does not fit; FORBIDDEN where `options.by` may not answer; and as `resume`
   */
  async answer(
    run: string,
    path: string,
    value: unknown,
    options: AnswerOptions & ResumeOptions = {},
  ): Promise<RunResult> {
    const { result } = await this.noteAnswer(run, path, value, options);
    return result ?? this.#continue(run, options);
  }

  /**
   * Sends a signal to a run: a `flow.receive` of that name takes it, now or later.
   * @returns what the run comes to, if it waited for the signal
   * @throws TesseraError NOT_FOUND where no node receives such a signal; OVERLOADED where as many are kept as its queue
   * takes; and as `answer`
   */
  async signal(
    run: string,
    name: string,
    value: unknown,
    options: AnswerOptions & ResumeOptions = {},
  ): Promise<RunResult | undefined> {
    const { goesOn, result } = await this.noteSignal(run, name, value, options);
    return result ?? (goesOn ? undefined : this.#continue(run, options));
  }

  /** As `answer`, but only keeps the answer. */
  async noteAnswer(
    run: string,
    path: string,
    value: unknown,
    options: AnswerOptions & AcceptedChanges = {},
  ): Promise<Delivered> {
    const flow = await this.flowOfRun(run, options);
    const goesOn = await flow.answer(run, { path, value }, options);
    return { goesOn, result: goesOn ? flow.underWay(run) : undefined };
  }

  /** As `signal`, but only keeps the signal. */
  async noteSignal(
    run: string,
    name: string,
    value: unknown,
    options: AnswerOptions & AcceptedChanges = {},
  ): Promise<Delivered> {
    const flow = await this.flowOfRun(run, options);
    const goesOn = await flow.signal(run, { name, value }, options);
    return { goesOn, result: goesOn ? flow.underWay(run) : undefined };
  }

  /** Takes a run up after something came to it, unless somebody else has done so meanwhile. */
  async #continue(run: string, options: ResumeOptions): Promise<RunResult> {
    try {
      return await this.resume(run, options);
    } catch (thrown) {
      const isTaken = TesseraError.is(thrown) && thrown.code === "CONFLICT";
      const live = isTaken ? (await this.flowOfRun(run, options)).underWay(run) : undefined;
      if (live) return live;
      throw thrown;
    }
  }

  /** The compiled flow of a recorded run. */
  protected async flowOfRun(id: string, { acceptChanges }: AcceptedChanges = {}): Promise<CompiledFlow> {
    this.#assertOpen(id);
    const flowSet = this.#current ?? (await this.#ready(id));
    const record = await this.#records?.run(id);
    if (!record) throw new TesseraError("RECORD_MISSING", `no run "${id}" is recorded`, { path: id });
    return this.#flowOfRecord(record, flowSet, acceptChanges);
  }

  /**
   * Begins a run that uses a recorded run, on the flow that the recorded run began with or on the current flow of that
   * name.
   */
  protected async takeUp<T extends { readonly result: Promise<RunResult<unknown>> }>(
    { id, of, as = id, options, asItIsNow = false }: UseOfRecord,
    start: (flow: CompiledFlow, options: RunOptions) => T | Promise<T>,
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
      const flow = this.#flowOfRecord(record, flowSet, asItIsNow);
      return flow instanceof Promise ? flow.then((flow) => start(flow, options)) : start(flow, options);
    });
  }

  /** The flow that a recorded run began with, or the current one of that name. */
  #flowOfRecord(record: RunRecord, flowSet: FlowSet, asItIsNow = false): CompiledFlow | Promise<CompiledFlow> {
    const now = flowSet.flows.get(record.flow);
    const isSame = now?.hash === record.hash;
    const flow = asItIsNow || isSame || !record.document.document ? now : undefined;
    return flow ?? this.#compileKept(record, flowSet.host);
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

  protected async compileChanged(document: FlowDocument): Promise<CompiledFlow> {
    const { host } = await this.#ready(document.name);
    return this.#outside.runInAsyncScope(() => compile(document, { ...this.#settings, host }));
  }

  protected get records(): Records | undefined {
    return this.#records;
  }

  /** Begins a run once the flows are ready. */
  async #begin<T extends { readonly result: Promise<RunResult<unknown>> }>(
    flow: string,
    options: RunOptions | undefined,
    start: (flowSet: FlowSet, options: RunOptions) => T | Promise<T>,
  ): Promise<T> {
    const admitted = this.#admit(flow, options);
    try {
      const flowSet = await admitted.ready;
      const begun = start(flowSet, admitted.options);
      const result = begun instanceof Promise ? begun.then(({ result }) => result) : begun.result;
      flowSet.follow(result);
      result.then(admitted.ended, admitted.ended);
      return begun;
    } catch (thrown) {
      admitted.ended();
      throw thrown;
    }
  }

  /** Takes a run in: from now on, `close` waits for it and can abort it. */
  #admit(flow: string, options: RunOptions = {}): AdmittedRun {
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
    let settle = () => {};
    const result = new Promise<void>((resolve) => {
      settle = resolve;
    });
    const slot = this.#running.add({ id, flow, abort, result });
    return {
      options: { ...options, id, outer, signal: controller.signal },
      ready: ready.then((before) => this.#current ?? before), // a reload may have come in between
      ended: () => {
        this.#running.remove(slot);
        release?.();
        settle();
      },
    };
  }

  /** Refuses new runs from now on, and waits for the runs under way. */
  async drain(): Promise<void> {
    this.#draining = true;
    this.#alarm?.stop();
    await Promise.allSettled([...this.#running].map(({ result }) => result));
  }

  /**
   * Refuses new runs, waits for the runs under way, and closes every resource that was opened. Runs that take longer
   * than `within` are aborted after the last step whose record is committed.
   * @returns the runs that were aborted
   * @throws TesseraError STORE_FAILED if something could not be closed; everything else is closed nevertheless.
   */
  close(options: CloseOptions = {}): Promise<readonly InterruptedRun[]> {
    this.#draining = true;
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  async #close({ within }: CloseOptions): Promise<readonly InterruptedRun[]> {
    const interrupted: InterruptedRun[] = [];
    const interrupt = () => void interrupted.push(...interruptAll(this.#running, this.#records !== undefined));
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
}

/**
 * Makes the one object that a service holds: its flows and their resources. Nothing is opened before it starts.
 * @throws TesseraError INVALID_FLOW if the key of a flow is not the name of its document.
 */
export const createTessera = <const F extends Flows>(options: TesseraOptions<F>): Tessera<F> => new Tessera(options);
