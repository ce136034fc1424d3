// public: CompiledFlow
// internal: outerContext
import { randomUUID } from "node:crypto";
import {
  type Context,
  type FlowDocument,
  type FlowEvent,
  type Records,
  type RunRecord,
  TesseraError,
} from "@tessera/core";
import { onAbort, type RunJournal, type Texts } from "@tessera/core/internal";
import { EventEmitter } from "eventemitter3";
import { Audience } from "./audience.js";
import { Channel } from "./channel.js";
import { claimed, claimedNow, lifeOf, type Release } from "./claims.js";
// A circle of types: `compile` makes a `CompiledFlow`, which keeps what it was compiled from.
import type { CheckedFlow, CompileOptions } from "./compile.js";
import type { Claimed, Prepared, Settings, Watched } from "./executing.js";
import { isOurs, located, observed } from "./foreign.js";
import { flowBody } from "./frame.js";
import { type OutputDelta, OutputGates } from "./gates.js";
import { takeInput } from "./input.js";
import { chargedBefore, Journal } from "./journal.js";
import { Launched, unspent } from "./launched.js";
import type { Observer } from "./observer.js";
import { type Inside, type OuterStep, outerOf } from "./outer.js";
import type { FlowBound, FlowPlan } from "./plan.js";
import type { FlowProgram, Row } from "./program.js";
import { type Packed, pack, unpack } from "./records/pack.js";
import { type FlowEvents, Run, type RunResult } from "./run.js";
import type { LaunchedRun, LaunchOptions, ReplayOptions, ResumeOptions, RunOptions, RunStream } from "./run-options.js";
import {
  assertDocument,
  assertUnchanged,
  type Beginning,
  chargesOf,
  homeless,
  isClosed,
  misnamed,
  nameOf,
  origin,
  recordOf,
  type TakenFrom,
  threadOf,
  versionsOf,
} from "./run-record.js";
import { Turn, withTurn } from "./threads/turn.js";
import type { ForkChange } from "./time/changes.js";
import { type ForkOf, forkOf } from "./time/forking.js";
import { type Inheritance, inheritanceOf, originsOf } from "./time/inheritance.js";
import {
  type Answer,
  type AnswerOptions,
  answerWait,
  arrivalsOf,
  noteOf,
  type Signal,
  sendSignal,
} from "./waits/answering.js";
import { Life } from "./waits/life.js";
import { type DeclaredSignal, signalsOf } from "./waits/signals.js";

/** A flow that was checked and whose resources are open. It can run any number of times, also at the same time. */
export class CompiledFlow<I extends object = Row, O = Row> {
  readonly document: FlowDocument;
  /** The content hash of the document. */
  readonly hash: string;
  /** The most that a run can spend. */
  readonly bound: FlowBound;
  /** The resources that its operators with the effect "write" ask for, by kind and name: "store/docs". */
  readonly writes: readonly string[];
  /** The resources that its operators ask for, by kind and name: "store/docs", "encoder/hash". */
  readonly resources: readonly string[];
  /** The prompts that its operators send, by name: name, version and the beginning of the text's SHA-256. */
  readonly prompts: Readonly<Record<string, string>>;
  private readonly body: ReturnType<typeof flowBody>;
  private readonly outputs: readonly string[];
  private readonly plan: FlowPlan;
  private packedDocument: Packed | undefined;
  /** The signals that its nodes receive, by name. */
  private readonly signals: ReadonlyMap<string, DeclaredSignal>;
  /** The version of each of its operators, by name. */
  private readonly operators: Readonly<Record<string, number>>;

  constructor(
    checked: CheckedFlow & {
      readonly writes?: readonly string[];
      readonly resources?: readonly string[];
      readonly prompts?: Readonly<Record<string, string>>;
    },
    private readonly program: FlowProgram,
    private readonly options: Pick<CompileOptions, "records" | "cache" | "validate" | "observer" | "clock">,
  ) {
    this.document = checked.document;
    this.hash = checked.hash;
    this.bound = checked.bound;
    this.writes = checked.writes ?? [];
    this.resources = checked.resources ?? [];
    this.prompts = checked.prompts ?? {};
    this.plan = checked.plan;
    this.operators = versionsOf(checked.plan);
    this.body = flowBody(program);
    this.signals = signalsOf(checked.plan);
    this.outputs = program.output.map(({ port }) => port);
  }

  /**
   * Runs the flow.
   * @throws TesseraError BAD_INPUT; BAD_ARGUMENT if the principal has the name of one of its groups; ABORTED; or the
   * code, path and cause with which a node failed.
   */
  run(input: I, options: RunOptions = {}): Promise<RunResult<O>> {
    const { records, cache } = this.options;
    const refused = options.principal && misnamed(options.principal, this.document.name);
    if (refused) return Promise.reject(refused);
    if (this.bound.waits && !records?.waits) return Promise.reject(homeless(this.document.name));
    if (!records && !cache && options.thread === undefined) return this.execute(input as Row, options);
    const direct =
      records?.direct && !cache && options.thread === undefined ? this.executeDirect(input as Row, options) : undefined;
    return direct ?? this.locating(() => this.executeRecorded(input as Row, options));
  }

  /** Runs the flow and returns its events as a stream. */
  stream(input: I, options: RunOptions = {}): RunStream<O> {
    return this.streamOf(options, (settings) => this.run(input, settings as RunOptions));
  }

  /**
   * Continues a run after its last finished step. Finished steps are not run again, even if operators or the flow have
   * changed.
   * @throws TesseraError RECORD_MISSING if the run is not recorded; BAD_ARGUMENT if it began on another document, and
   * CONFLICT if an operator has another version now, both unless `acceptChanges` is set; CONFLICT if the run is under
   * way.
   */
  resume(id: string, options: ResumeOptions = {}): Promise<RunResult<O>> {
    return this.locating(() => this.executeResume(id, options));
  }

  /** Runs the flow and reports its events by calls. This costs less than a stream. */
  launch(input: I, options: LaunchOptions = {}): LaunchedRun<O> {
    return this.launchedOf(options, (settings) => this.run(input, settings as RunOptions));
  }

  /** As `resume`, but reports events by calls. */
  launchResume(id: string, options: Omit<LaunchOptions, "id" | "principal" | "seed"> = {}): LaunchedRun<O> {
    return this.launchedOf({ ...options, id }, (settings) => this.resume(id, settings as ResumeOptions));
  }

  private launchedOf(options: LaunchOptions, execute: (options: Settings) => Promise<RunResult<O>>): LaunchedRun<O> {
    const { id = randomUUID(), part } = options;
    const launched = new Launched<O>(id, this.document.name);
    const gates = part && new OutputGates(this.outputs, part);
    const onRun = (run: Run) => launched.begun(run);
    launched.result = execute({ ...options, id, within: withinOf(options), gates, onRun } as Settings);
    return launched;
  }

  private async executeResume(id: string, options: ResumeOptions): Promise<RunResult<O>> {
    const within = withinOf(options);
    const record = await this.recordOf(id);
    if (!options.acceptChanges) assertUnchanged(record, this.hash, this.operators);
    const life = this.newLife();
    const release = await claimed(this.records, id, life);
    return this.executeClaimed({ release, life, again: true }, async () => {
      const left = await this.records.journal(id);
      const settings = this.continued(record, left, options);
      const inherited = await this.inheritedBy(record, left);
      const journal = new Journal({ ...this.journaled(settings, id), left, inherited });
      const input = await unpack(record.input, this.records);
      const turn = await this.turnOf(record.thread, { ...settings, id, again: true });
      return { journal, input, options: { ...settings, within }, turn };
    });
  }

  /**
   * Ends the wait of a run at a path. It resolves when the answer would survive a crash.
   * @returns whether the run is under way in this process, and goes on by itself; else `resume` it
   * @throws TesseraError NOT_FOUND where nothing waits there; CONFLICT where it has ended already, or where an operator or
   * the document has changed; BAD_INPUT where the answer does not fit; FORBIDDEN
   */
  answer(id: string, answer: Answer, options: AnswerOptions & AcceptedChanges = {}): Promise<boolean> {
    return this.locating(async () => answerWait(await this.placeOf(id, options), answer, options));
  }

  /** Sends a signal to a run. Resolves, returns and throws as `answer`; OVERLOADED where the queue of the signal is full. */
  signal(id: string, signal: Signal, options: AnswerOptions & AcceptedChanges = {}): Promise<boolean> {
    return this.locating(async () => sendSignal(await this.placeOf(id, options), this.signals, signal, options));
  }

  /** What a run comes to that is under way in this process, if it may wait. */
  underWay(id: string): Promise<RunResult<O>> | undefined {
    return lifeOf(this.records, id)?.result as Promise<RunResult<O>> | undefined;
  }

  /** Gives a run that is under way in this process what has come to it through another one. */
  async hearArrivals(id: string): Promise<void> {
    const life = lifeOf(this.records, id);
    if (!life || life.over) return;
    for (const entry of arrivalsOf(await this.records.journal(id))) life.bring(entry);
  }

  private async placeOf(id: string, { acceptChanges }: AcceptedChanges) {
    const record = await this.recordOf(id);
    if (!acceptChanges) assertUnchanged(record, this.hash, this.operators);
    return { records: this.records, record, clock: this.options.clock };
  }

  /** The turn of a run on its thread. */
  private async turnOf(
    thread: string | undefined,
    { id, principal, again }: Pick<Settings, "principal"> & { readonly id: string; readonly again?: boolean },
  ): Promise<Turn | undefined> {
    const { clock } = this.options;
    return thread === undefined
      ? undefined
      : Turn.open(this.records, this.document, { id: thread, run: id, again, principal, clock });
  }

  private newLife = (): Life | undefined => (this.bound.waits ? new Life() : undefined);

  /** Where a run is kept. */
  private journaled({ principal }: Pick<Settings, "principal">, run: string) {
    const { records, cache } = this.options;
    return { records, cache, run, principal: principal?.id };
  }

  /** As `resume`, but returns the events as a stream. What a finished step had streamed comes as one part. */
  resumeStream(id: string, options: ResumeOptions = {}): RunStream<O> {
    return this.streamOf({ ...options, id }, (settings) => this.resume(id, settings));
  }

  /**
   * Runs a recorded run again from its records, without calling any operator or model.
   * @throws TesseraError RECORD_MISSING if a step was not recorded; BAD_ARGUMENT if the run began on another document.
   */
  replay(id: string, options: ReplayOptions = {}): Promise<RunResult<O>> {
    return this.locating(() => this.executeReplay(id, options));
  }

  private async executeReplay(id: string, options: ReplayOptions): Promise<RunResult<O>> {
    const record = await this.recordOf(id);
    assertDocument(record, this.hash);
    const left = await this.records.journal(id);
    const journal = new Journal({ records: this.records, run: id, left, replay: true });
    const input = await unpack(record.input, this.records);
    const life = this.newLife();
    return this.execute(input, { ...this.continued(record, left, options), journal, within: null, life });
  }

  /**
   * A new run that uses the records of another one. Only steps whose key changed, and the steps after them, are
   * computed. An element of an `each` is recognised by its value, not by its place. A write is not repeated if nothing
   * of it changed.
   */
  whatIf(id: string, input?: I, options: RunOptions = {}): Promise<RunResult<O>> {
    return this.locating(async () => {
      const within = withinOf(options);
      const record = await this.recordOf(id);
      const given = (input ?? (await unpack(record.input, this.records))) as Row;
      const settings = { ...origin(record), ...options, within } as Settings;
      return this.executeRecorded(given, settings, { other: await this.records.journal(id) });
    });
  }

  /**
   * A new run of this flow that takes from a recorded run every step that a change does not affect: where the node and its
   * input are the same, whatever has changed in stores since. An element of an `each` is recognised by its content, not by
   * its place. A write or an answer serves one step only.
   * @param change `at` is a path of the recorded run; what changes a document is in this flow already
   * @throws TesseraError NOT_FOUND where the run has no such step; BAD_INPUT where what is given does not fit; BAD_ARGUMENT
   */
  fork(id: string, change: ForkChange, options: RunOptions = {}): Promise<RunResult<O>> {
    return this.locating(async () => {
      const within = withinOf(options);
      const record = await this.recordOf(id);
      const settings = { ...origin(record), ...options, within } as Settings;
      if (this.bound.waits && !this.records.waits) throw homeless(this.document.name);
      const input = (await unpack(record.input, this.records)) as Row;
      return this.executeRecorded(input, settings, { fork: await this.forkFrom(record, change, settings) });
    });
  }

  /** As `fork`, but returns the events as a stream. */
  forkStream(id: string, change: ForkChange, options: RunOptions = {}): RunStream<O> {
    return this.streamOf(options, (settings) => this.fork(id, change, settings as RunOptions));
  }

  /** As `fork`, but reports events by calls. */
  launchFork(id: string, change: ForkChange, options: LaunchOptions = {}): LaunchedRun<O> {
    return this.launchedOf(options, (settings) => this.fork(id, change, settings as RunOptions));
  }

  /** What `fork` would refuse. @throws TesseraError as `fork` */
  async assertFork(id: string, change: ForkChange): Promise<void> {
    await this.locating(async () => this.forkFrom(await this.recordOf(id), change, {}));
  }

  private forkFrom(
    record: RunRecord,
    change: ForkChange,
    { seed = record.seed, principal }: Settings,
  ): Promise<ForkOf> {
    const { records, plan } = this;
    return forkOf(change, { records, record, plan, seed, by: principal?.id });
  }

  /** What a run that goes on takes from the one that it was forked from. */
  private async inheritedBy(record: RunRecord, { entries }: RunJournal): Promise<Inheritance | undefined> {
    const { records } = this;
    const origins = await originsOf(record, records);
    const settings = { records, seed: record.seed, own: entries.values() };
    return origins.length > 0 ? inheritanceOf(origins, settings) : undefined;
  }

  /** Makes a `TesseraError` of what fails outside of a run's steps, such as records that return a wrong value. */
  private async locating<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (thrown) {
      throw isOurs(thrown) ? thrown : located(thrown, this.document.name, "STORE_FAILED");
    }
  }

  /** The document, ready to be kept. */
  private get packed(): Packed {
    this.packedDocument ??= pack({ document: this.document });
    return this.packedDocument;
  }

  private get records(): Records {
    if (!this.options.records)
      throw new TesseraError("BAD_ARGUMENT", "no records are kept", { hint: "give compile() a `records`" });
    return this.options.records;
  }

  private async recordOf(id: string): Promise<RunRecord> {
    const record = await this.records.run(id);
    if (!record) throw new TesseraError("RECORD_MISSING", `no run "${id}" is recorded`, { path: id });
    if (record.flow !== this.document.name)
      throw new TesseraError("BAD_ARGUMENT", `run "${id}" is one of the flow "${record.flow}"`, { path: id });
    return record;
  }

  /** The settings of a run that goes on: what it has spent so far counts. */
  private continued(record: RunRecord, left: RunJournal, { acceptChanges: _, ...options }: ResumeOptions): Settings {
    return { ...options, ...origin(record), id: record.id, name: nameOf(record), before: chargedBefore(left) };
  }

  /** What is kept of a run that begins. */
  private recordFor(
    row: Row,
    options: Beginning,
    fork?: ForkOf,
  ): { readonly record: RunRecord; readonly texts: Texts } {
    const { hash, operators, prompts } = this;
    return recordOf(row, options, { flow: this.document.name, hash, operators, prompts, document: this.packed }, fork);
  }

  /**
   * As `executeRecorded`, on records that say at once what stands: begins in this turn of the event loop. Gives nothing
   * where they have to look first.
   */
  private executeDirect(input: Row, options: Settings): Promise<RunResult<O>> | undefined {
    const { records } = this;
    const { id = randomUUID() } = options;
    const life = this.newLife();
    let release: Release | undefined;
    try {
      const within = withinOf(options);
      const row = takeInput(input, this.program.input, this.document.name);
      const { record, texts } = this.recordFor(row, { ...options, id });
      release = claimedNow(records, id, life);
      const written = release && records.direct!.begin(record, texts);
      if (!release || !written) {
        release?.();
        return undefined;
      }
      const journal = new Journal(this.journaled(options, id));
      journal.follow(written);
      const result = this.execute(row, { ...options, id, within, name: nameOf(record), journal, life });
      return this.kept(result, journal, { release, life, again: false });
    } catch (thrown) {
      life?.comesTo(Promise.reject(thrown));
      release?.();
      return Promise.reject(isOurs(thrown) ? thrown : located(thrown, this.document.name, "STORE_FAILED"));
    }
  }

  /** Executes a new run and keeps its record, where there are records. */
  private async executeRecorded(input: Row, options: Settings, from: TakenFrom = {}): Promise<RunResult<O>> {
    const { records, cache } = this.options;
    const { id = randomUUID() } = options;
    const within = withinOf(options);
    const { other, fork } = from;
    if (options.thread !== undefined && !fork) return this.executeOnThread(input, { ...options, id, within }, other);
    const row = takeInput(input, this.program.input, this.document.name);
    if (!records) return this.execute(row, { ...options, id, within, journal: new Journal({ cache, run: id }) });
    const { record, texts } = this.recordFor(row, { ...options, id, thread: undefined }, fork); // a fork works on no thread
    const life = this.newLife();
    const release = await claimed(records, id, life);
    return this.executeClaimed({ release, life, again: false }, async () => {
      await records.begin(record, texts);
      const journal = new Journal({ ...this.journaled(options, id), other, inherited: fork?.inherited });
      return { journal, input: row, options: { ...options, id, within, name: nameOf(record) } };
    });
  }

  /** As `executeRecorded`, for a run on a thread: the thread is given to it first, and adds its history to the input. */
  private async executeOnThread(
    input: Row,
    options: Settings & { readonly id: string },
    other?: RunJournal,
  ): Promise<RunResult<O>> {
    const { records } = this;
    const { id } = options;
    const thread = threadOf(options.thread!);
    const life = this.newLife();
    const release = await claimed(records, id, life);
    return this.executeClaimed({ release, life, again: false }, async () => {
      const turn = (await this.turnOf(thread.id, options))!;
      try {
        const given = await turn.withHistory(input, this.document, thread.tokens);
        const row = takeInput(given, this.program.input, this.document.name);
        const { record, texts } = this.recordFor(row, options);
        await records.begin(record, texts);
        const journal = new Journal({ ...this.journaled(options, id), other });
        return { journal, input: row, options: { ...options, name: nameOf(record) }, turn };
      } catch (error) {
        await turn.notBegun().catch(() => {});
        throw error;
      }
    });
  }

  /** Executes a run whose id this process has claimed, and releases the claim once nothing is being written any more. */
  private async executeClaimed(claim: Claimed, prepare: () => Promise<Prepared>): Promise<RunResult<O>> {
    const prepared = prepare();
    prepared.catch(() => claim.life?.comesTo(prepared as Promise<never>));
    const { journal, input, options, turn } = await prepared.catch((error) => {
      claim.release();
      throw error;
    });
    const result = this.execute(input, { ...options, journal, life: claim.life });
    return this.kept(turn ? withTurn(result, { journal, input, turn }) : result, journal, claim);
  }

  /** Gives a result once all that the run has noted is durable, and releases its claim once nothing is being written. */
  private kept(result: Promise<RunResult<O>>, journal: Journal, claim: Claimed): Promise<RunResult<O>> {
    const kept = this.keep(result, journal, claim);
    claim.life?.comesTo(kept);
    return kept;
  }

  private async keep(
    result: Promise<RunResult<O>>,
    journal: Journal,
    { release, life, again }: Claimed,
  ): Promise<RunResult<O>> {
    const noted = () => life && (again || journal.isNoted);
    try {
      const value = await result;
      await journal.durable();
      if (noted()) await journal.noteRest(value.waits && noteOf(journal.asRecord(this.document.name), value.waits));
      return value;
    } catch (error) {
      // the charges of a failed run are written before the caller hears of the failure; an abort waits for nothing
      const isAborted = TesseraError.is(error) && error.code === "ABORTED";
      if (!isAborted) await journal.durable().catch(() => {});
      // what the end of a service interrupted is taken up by the next; what failed or was cancelled waits no longer
      if (noted() && !(isAborted && isClosed(error.cause))) await journal.noteRest(undefined).catch(() => {});
      throw error;
    } finally {
      release(journal.isQuiet ? undefined : journal.quiet());
    }
  }

  /** Executes a run before the eyes of an observer. */
  private executeObserved(input: unknown, settings: Settings, observer: Observer): Promise<RunResult<O>> {
    const events: FlowEvents = new EventEmitter();
    const observation = observed(() =>
      observer.run({ id: settings.id, document: this.document, hash: this.hash, events }),
    );
    const result = this.execute(input, settings, { events, observation });
    const ended = (failure?: TesseraError) => observation.ended(failure);
    result.then(() => ended(), ended);
    return result;
  }

  /** Executes a run, before the eyes of the observer where there is one. */
  private execute(input: unknown, settings: Settings, watched?: Watched): Promise<RunResult<O>> {
    const { observer } = this.options;
    if (observer && !watched) return this.executeObserved(input, settings, observer);
    const { signal, hear, events } = settings;
    const within = withinOf(settings);
    const run = new Run({
      budget: settings.budget,
      outer: within?.reservation,
      before: settings.before,
      charged: settings.journal && chargesOf(settings.journal),
      principal: settings.principal,
      sampling: settings.sampling,
      prompts: settings.prompts,
      seed: settings.seed ?? 0,
      audience: hear || watched || events ? Audience.of(hear, [watched?.events, events]) : undefined,
      within: watched?.observation.within,
      gates: settings.gates,
      journal: settings.journal,
      validate: this.options.validate ?? false,
      name: settings.name,
      clock: this.options.clock,
      waits: settings.life && { life: settings.life, flow: this.document.name },
    });
    settings.onRun?.(run);
    const path = this.document.name;
    if (settings.journal) settings.journal.onLost = (error) => run.failed(0, error);
    try {
      const row = takeInput(input, this.program.input, this.document.name);
      if (signal || within) {
        const abort = (reason: unknown) => run.abort(path, reason);
        const forget = signal && onAbort(signal, abort);
        const forgetOuter = within && within.signal !== signal ? onAbort(within.signal, abort) : undefined;
        run.scope.cleanup = () => {
          forget?.();
          forgetOuter?.();
        };
      }
      if (!run.scope.over) {
        this.body({ run, scope: run.scope, path, input: row, owner: run, key: 0, feed: run.feed }).enqueue();
        run.drain();
      }
    } catch (thrown) {
      run.failed(0, isOurs(thrown) ? thrown : located(thrown, path));
    }
    return run.result as Promise<RunResult<O>>;
  }

  private streamOf(options: RunOptions, execute: (options: Settings) => Promise<RunResult<O>>): RunStream<O> {
    const abort = new AbortController();
    const within = withinOf(options);
    const forget = options.signal && onAbort(options.signal, (reason) => abort.abort(reason));
    const leave = () => abort.abort(new Error("the stream was left"));
    const id = options.id ?? randomUUID();
    const all = new Channel<FlowEvent>(leave);
    const parts = new Channel<OutputDelta>(leave);
    const { shows = "everything" } = options;
    const hear = shows === "everything" ? (event: FlowEvent) => all.push(event) : undefined;
    const gates = new OutputGates(this.outputs, (part) => parts.push(part));
    let run: Run | undefined;
    const onRun = (created: Run) => {
      run = created;
    };
    const result = execute({ ...options, id, within, signal: abort.signal, hear, gates, onRun } as Settings);
    const close = (reason?: unknown) => {
      all.end(reason);
      parts.end(reason);
      forget?.();
    };
    result.then(() => close(), close);
    return {
      id,
      result,
      output: parts,
      spent: () => ({ ...(run?.ledger.spent ?? unspent) }),
      due: () => run?.ledger.due ?? unspent,
      [Symbol.asyncIterator]: () => all[Symbol.asyncIterator](),
    };
  }
}

type AcceptedChanges = Pick<ResumeOptions, "acceptChanges">;

/** The step that a run with these options would be a part of, if it began now; for a caller that begins it later. */
export const outerContext = (options: Inside): Context | "none" => outerOf(options) ?? "none";

const withinOf = (settings: Settings): OuterStep | null =>
  settings.within === undefined ? (outerOf(settings) ?? null) : settings.within;
