// internal: RunRequest, ForkOfRun, ResumedBy, RunState, RunEvent, Retention, defaultRetention, RunQuery, Runs, FlowRunner, firstState
// internal: assertMayReceive, Arrival, RunStatus, assertSameRun, resumed, cancellation, eventData, keysOf, spentOf
import {
  type FlowEvent,
  type Json,
  type Principal,
  type Records,
  type Sampling,
  type Spent,
  TesseraError,
} from "@tessera/core";
import { canonicalJson, type ErrorBody, errorBody, type RunJournal, stampNow } from "@tessera/core/internal";
import type { CompiledFlow } from "./compiled.js";
import { chargedBefore } from "./journal.js";
import { toJson } from "./records/serialize.js";
import type { Budget } from "./run.js";
import type { ResumeOptions, RunOptions, RunStream } from "./run-options.js";
import type { ForkChange } from "./time/changes.js";
import type { AnswerOptions } from "./waits/answering.js";
import { isPending, type Wait } from "./waits/entries.js";

export interface RunRequest {
  /** The name of the run. Starting one that is known gives that run. */
  readonly id: string;
  readonly flow: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly principal: Principal;
  readonly budget?: Budget | undefined;
  readonly seed?: number | undefined;
  /** What is asked of its language models. */
  readonly sampling?: Sampling | undefined;
  /** The conversation that it works on. */
  readonly thread?: string | undefined;
  /** Whether the id was made for this request, so that nobody else can know it: there is no run of it to look for. */
  readonly isNew?: boolean | undefined;
  /** The budget that was asked for, where `budget` is what was granted of it: another one under the same id is a conflict. */
  readonly asked?: Budget | undefined;
  /** The id of the API key that it is started with: the run ends when the key is revoked, whoever works on it. */
  readonly key?: string | undefined;
  /** Of a fork: of which run, and what is changed. */
  readonly fork?: ForkOfRun | undefined;
}

/** What a fork was made of, as its state keeps it. */
export interface ForkOfRun {
  readonly of: string;
  readonly change: ForkChange;
}

/**
 * A run that waits for a worker counts as running. "waiting": nothing is left to do before somebody answers, a signal comes,
 * or a time is over. "interrupted": the process that ran it ended first; `resume` takes it
 * up behind its last finished step.
 */
export type RunStatus = "running" | "waiting" | "done" | "budget" | "failed" | "cancelled" | "interrupted";

export interface RunState {
  readonly id: string;
  readonly flow: string;
  readonly principal: Principal;
  readonly status: RunStatus;
  readonly input: { readonly [port: string]: Json };
  readonly seed: number;
  readonly budget?: Budget | undefined;
  readonly sampling?: Sampling | undefined;
  /** The conversation that it works on. */
  readonly thread?: string | undefined;
  /** The budget that was asked for at its start; nothing in states of older versions. */
  readonly asked?: Budget | undefined;
  /** The id of the API key that it was last started or resumed with. */
  readonly key?: string | undefined;
  /** Whether it was resumed for good or ill of what has changed since it began. */
  readonly acceptChanges?: true;
  readonly fork?: ForkOfRun | undefined;
  readonly output?: { readonly [port: string]: Json };
  readonly error?: ErrorBody;
  /**
   * Of a run that did not end by itself: with the bounds of the steps that were under way; of one whose process died: what
   * its finished steps spent; nothing where that is not known.
   */
  readonly spent?: Spent;
  readonly started: string;
  readonly ended?: string;
  /** What a run that is "waiting" waits for. */
  readonly waits?: readonly Wait[];
}

/** A `FlowEvent` as JSON, numbered within its run from 1, or a part of a flow's own output ("output-delta"). */
export interface RunEvent {
  readonly sequence: number;
  readonly type: string;
  readonly data: Json;
}

/**
 * Which of the runs that have ended are kept: the latest, none longer than a time, and as many as fit into the bytes that
 * runs, events and records may take on disk. One that runs always is.
 */
export interface Retention {
  readonly runs: number;
  readonly ageMs: number;
  /** Where runs lie on this machine's disk. */
  readonly bytes?: number | undefined;
}

/** The last 10,000 runs, for 30 days, in 2 GiB. */
export const defaultRetention: Retention & { readonly bytes: number } = {
  runs: 10_000,
  ageMs: 30 * 86_400_000,
  bytes: 2 * 2 ** 30,
};

/** How a run is resumed. */
export interface ResumedBy {
  readonly acceptChanges?: boolean | undefined;
  readonly key?: string | undefined;
}

/** Which runs are listed: those of a principal, and of some flows; of all without. */
export interface RunQuery {
  readonly principal?: string | undefined;
  readonly flows?: readonly string[] | undefined;
  readonly status?: RunStatus | undefined;
  readonly limit: number;
}

/** What comes to a run from outside: an answer to the wait at a path, or a signal. */
export type Arrival =
  | { readonly path: string; readonly value: unknown }
  | { readonly signal: string; readonly value: unknown };

/**
 * Where runs live: in one process and on its disk, or on PostgreSQL. Whatever it is, a run that was started once runs
 * once, and its state outlives the process where the backend says so.
 */
export interface Runs {
  /**
   * Starts a run; resolves once it is noted, and gives its state at once where there is nothing to wait for. A known id gives its run as it stands, taken up again where it was
   * interrupted.
   * @throws TesseraError CONFLICT where the id is known with another flow, input, principal, seed or budget; BAD_INPUT,
   * CLOSED.
   */
  start(request: RunRequest): RunState | Promise<RunState>;
  get(id: string): Promise<RunState | undefined>;
  /** The latest first. */
  list(query: RunQuery): Promise<RunState[]>;
  /** @throws TesseraError NOT_FOUND; CONFLICT where it has ended. */
  cancel(id: string): Promise<RunState>;
  /**
   * Goes on behind the last finished step; `budget` is for the whole run, what it has spent included.
   * @param how whether it goes on although its document, or the version of an operator, is another than it began with; and
   * the API key that it goes on with, by default the one before
   * @throws TesseraError NOT_FOUND; CONFLICT where it runs or has succeeded, or ended by a budget that was not smaller.
   */
  resume(id: string, budget?: Budget, how?: ResumedBy): Promise<RunState>;
  /** Where a run may be worked on by a process that did not start it: cancels all runs under way of an API key. */
  cancelOf?(key: string): Promise<void>;
  /**
   * Keeps an answer or a signal for a run. It resolves when that would survive a crash.
   * @returns whether nobody has to take the run up: it goes on by itself, or does not wait for this
   * @throws TesseraError NOT_FOUND; CONFLICT where the run has ended, or the wait; BAD_INPUT, FORBIDDEN, OVERLOADED
   */
  deliver(id: string, arrival: Arrival, options: AnswerOptions): Promise<boolean>;
  /** What happened after the event `after`, and what happens, until the run ends. */
  events(id: string, after?: number): AsyncIterable<RunEvent>;
  /**
   * The JSON of a value that an event names as `{ "$value": hash, "bytes": … }`, since it is long.
   * @throws TesseraError NOT_FOUND
   */
  value?(id: string, hash: string): Promise<string>;
  /** Waits until a run is no longer running. */
  settled(id: string): Promise<RunState>;
  /** The keys of its finished steps, by path. */
  records(id: string): Promise<Readonly<Record<string, string>>>;
  /** Forgets the ended runs that a retention does not keep, with their events and records; says how many there were. */
  prune(retention: Retention): Promise<number>;
  /** Takes no new runs; those that take longer than `within` milliseconds are left to be resumed. */
  close(within?: number): Promise<void>;
}

/** Flows by name, as a framework object runs them. */
export interface FlowRunner {
  /** @throws TesseraError BAD_ARGUMENT where there is none of that name. */
  flow(name: string): Promise<Pick<CompiledFlow, "document" | "hash">>;
  stream(name: string, input: Readonly<Record<string, unknown>>, options: RunOptions): Promise<RunStream<unknown>>;
  resumeStream(id: string, options: ResumeOptions): Promise<RunStream<unknown>>;
  forkStream(id: string, change: ForkChange, options: RunOptions): Promise<RunStream<unknown>>;
  /** Gives a run that is under way in this process what has come to it through another one. */
  hearArrivals?(run: string): Promise<void>;
  /** Keeps an answer or a signal. @returns whether the run goes on by itself, or does not wait for this */
  noteAnswer(run: string, path: string, value: unknown, options: AnswerOptions): Promise<{ readonly goesOn: boolean }>;
  noteSignal(run: string, name: string, value: unknown, options: AnswerOptions): Promise<{ readonly goesOn: boolean }>;
}

/** A run as it is noted first. */
export function firstState({
  id,
  flow,
  input,
  principal,
  budget,
  sampling,
  seed = 0,
  thread,
  asked = budget ?? {},
  key,
  fork,
}: RunRequest): RunState {
  const values = toJson(input) as RunState["input"];
  const started = stampNow();
  const state = {
    id,
    flow,
    principal,
    status: "running",
    input: values,
    seed,
    budget,
    sampling,
    thread,
    asked,
    key,
    started,
  } as const;
  return fork ? { ...state, fork } : state;
}

const jsonOf = (sampling: Sampling | undefined): Json => JSON.parse(JSON.stringify(sampling ?? {}));
const limits = ["steps", "calls", "tokens", "layers", "cost"] as const;
const limitOf = (budget: Budget | undefined, kind: (typeof limits)[number]) =>
  budget?.[kind] ?? Number.POSITIVE_INFINITY;

/** @throws TesseraError CONFLICT where one id is asked for with another flow, input, principal, seed or budget. */
export function assertSameRun(known: RunState, asked: RunState): void {
  const conflict = (what: string, hint = "use a new Idempotency-Key") => {
    throw new TesseraError("CONFLICT", `this run was started with another ${what}`, { path: asked.id, hint });
  };
  if (known.flow !== asked.flow) conflict("flow");
  if (canonicalJson(known.input) !== canonicalJson(asked.input)) conflict("input");
  if (known.principal.id !== asked.principal.id) conflict("principal");
  if (canonicalJson(toJson(known.fork ?? null)) !== canonicalJson(toJson(asked.fork ?? null))) conflict("change");
  if (known.seed !== asked.seed) conflict("seed");
  if (canonicalJson(jsonOf(known.sampling)) !== canonicalJson(jsonOf(asked.sampling))) conflict("sampling");
  if (known.thread !== asked.thread) conflict("thread");
  if (known.asked && limits.some((kind) => limitOf(known.asked, kind) !== limitOf(asked.asked, kind)))
    conflict("budget", "resume a run that ended by its budget with a larger one, or use a new Idempotency-Key");
}

/** Whether a budget permits more than another of anything. */
const isLarger = (budget: Budget | undefined, than: Budget | undefined): boolean =>
  limits.some((kind) => limitOf(budget, kind) > limitOf(than, kind));

const resumable: ReadonlySet<RunStatus> = new Set(["waiting", "interrupted", "failed", "cancelled"]);

/** @throws TesseraError CONFLICT where a run takes no answers and signals any more */
export function assertMayReceive({ id, status }: RunState): void {
  if (status === "running" || status === "waiting" || status === "interrupted") return;
  throw new TesseraError("CONFLICT", `the run has ended: ${status}`, { path: id });
}

/**
 * A run that goes on.
 * @throws TesseraError CONFLICT where it runs or has succeeded, or ended by a budget that was not smaller.
 */
export function resumed(
  state: RunState,
  budget: Budget | undefined,
  { acceptChanges, key = state.key }: ResumedBy = {},
): RunState {
  const { status, id } = state;
  const endedByBudget = status === "budget";
  if (endedByBudget ? !isLarger(budget, state.budget) : !resumable.has(status))
    throw new TesseraError(
      "CONFLICT",
      endedByBudget ? "the run ended by its budget" : `a run that is ${status} cannot be resumed`,
      { path: id, ...(endedByBudget && { hint: "resume it with a larger `budget`, for the whole run" }) },
    );
  const { output: _, error: __, ended: ___, spent: ____, acceptChanges: _____, waits: ______, ...rest } = state;
  return {
    ...rest,
    status: "running",
    budget: budget ?? state.budget,
    key,
    ...(acceptChanges && { acceptChanges: true as const }),
  };
}

/** The error of a run that was cancelled. */
export const cancellation = (id: string): ErrorBody =>
  errorBody(new TesseraError("ABORTED", "the run was cancelled", { path: id }));

/** An event as JSON; one that holds what cannot be written keeps its place. */
export function eventData(event: FlowEvent): Json {
  try {
    return toJson(event.type === "node-error" ? { ...event, error: errorBody(event.error) } : event);
  } catch {
    return { type: event.type, path: event.path };
  }
}

/** The keys of a run's finished steps, by path; empty where nobody can say what a result belongs to. */
export const keysOf = ({ entries }: RunJournal): Record<string, string> =>
  Object.fromEntries(
    [...entries.values()]
      .filter((entry) => !entry.skipped && !entry.mark && !isPending(entry))
      .map(({ path, key = "" }) => [path, key]),
  );

/** What a run was charged, by its records: its finished steps, and attempts that gave no result. */
export const spentOf = async (records: Pick<Records, "journal">, run: string): Promise<Spent> =>
  chargedBefore(await records.journal(run));
