// internal: holdThread, letGoOfThread, threadLimits
import { type Clock, type FlowDocument, type Principal, type Records, TesseraError } from "@tessera/core";
import { dateOf, systemClock, type ThreadName, type ThreadState, type ThreadStore } from "@tessera/core/internal";
import type { Row } from "../program.js";
import type { RunResult } from "../run.js";
import { isClosed } from "../run-record.js";
import { answerText, type ChatPorts, chatPorts, historyValue, messagesOfThread, threadTokens } from "./history.js";

/** Bounds of threads: turns of one, threads of a principal, and characters of a question or an answer in a turn. */
export const threadLimits = { turns: 10_000, threads: 10_000, characters: 200_000 } as const;

const beginningMs = 60_000; // how long a run may have a thread before it is recorded

/** @throws TesseraError BAD_ARGUMENT for what cannot name a thread. */
function assertThreadId(id: string): void {
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(id))
    throw new TesseraError("BAD_ARGUMENT", `"${id}" cannot name a thread`, {
      hint: "letters, digits, - and _, at most 128",
    });
}

const nameOf = (id: string, principal: Principal | undefined): ThreadName => ({ owner: principal?.id ?? "", id });

/** A run that wants to work on a thread. */
interface Holder {
  readonly run: string;
  readonly flow: string;
  /** Whether the run may have taken its turn already. */
  readonly again?: boolean | undefined;
}

interface Place {
  readonly threads: ThreadStore;
  /** Whether there is such a run: one that is not there, and has had time to begin, has died. */
  readonly isKnown: (run: string) => Promise<boolean>;
  readonly clock?: Clock | undefined;
}

const busy = ({ id, open }: ThreadState): TesseraError =>
  new TesseraError("CONFLICT", `the run "${open!.run}" works on the thread "${id}"`, {
    path: id,
    hint: "wait for its end, answer what it waits for, resume it, or cancel it",
  });

async function assertRoom(
  threads: ThreadStore,
  name: ThreadName,
  { turns, open }: Partial<ThreadState> = {},
): Promise<void> {
  const full = (what: string, hint: string) => new TesseraError("OVERLOADED", what, { path: name.id, hint });
  if (turns === undefined && (await threads.count(name.owner)) >= threadLimits.threads)
    throw full(`a principal has at most ${threadLimits.threads} threads`, "delete some that are needed no more");
  if (turns !== undefined && turns >= threadLimits.turns && !open)
    throw full(`a thread has at most ${threadLimits.turns} turns`, "begin a new one");
}

/**
 * Gives a thread to a run.
 * @returns whether the run has it only since now, and the thread
 * @throws TesseraError CONFLICT where another run works on it; OVERLOADED where there are too many turns or threads;
 * BAD_ARGUMENT for a wrong id
 */
export async function holdThread(
  { threads, isKnown, clock = systemClock }: Place,
  name: ThreadName,
  { run, flow, again }: Holder,
): Promise<{ readonly isNew: boolean; readonly thread: ThreadState }> {
  assertThreadId(name.id);
  if (!again) await assertRoom(threads, name, await threads.get(name));
  const now = dateOf(clock);
  const hold = { run, flow, since: now };
  let { how, thread } = await threads.open(name, hold, { again });
  const other = thread.open;
  if (how === "busy" && other && now - other.since > beginningMs && !(await isKnown(other.run)))
    ({ how, thread } = await threads.open(name, hold, { again, instead: other.run }));
  if (how === "busy") throw busy(thread);
  return { isNew: how === "opened", thread };
}

/** Lets a run go from its thread that ends without a turn; nothing happens where it has none. */
export async function letGoOfThread(
  { threads }: Pick<Records, "threads">,
  {
    id,
    thread,
    principal,
  }: { readonly id: string; readonly thread?: string | undefined; readonly principal?: unknown },
): Promise<void> {
  if (thread !== undefined) await threads?.close(nameOf(thread, principal as Principal | undefined), id);
}

/** A thread that a run has. */
interface HeldThread {
  readonly threads: ThreadStore;
  readonly name: ThreadName;
  readonly run: string;
  readonly flow: string;
  readonly ports: ChatPorts;
  readonly clock: Clock;
  /** Whether the run did not have it before. */
  readonly isNew: boolean;
  readonly thread: ThreadState;
}

/** A run's part in a thread: what it is given, and the turn that it leaves. */
export class Turn {
  private constructor(private readonly held: HeldThread) {}

  /**
   * Gives the thread to the run.
   * @throws TesseraError as `holdThread`; BAD_ARGUMENT where the flow is none for conversations
   */
  static async open(
    records: Records,
    document: FlowDocument,
    {
      id,
      principal,
      clock = systemClock,
      ...run
    }: Omit<Holder, "flow"> & {
      readonly id: string;
      readonly principal?: Principal | undefined;
      readonly clock?: Clock | undefined;
    },
  ): Promise<Turn> {
    const { threads } = records;
    const { name: flow } = document;
    if (!threads)
      throw new TesseraError("BAD_ARGUMENT", "a thread needs records that keep threads", {
        path: flow,
        hint: "give `records`: diskRecords(folder), postgresRecords(connection), or memoryRecords() for one process",
      });
    const ports = conversing(document);
    const name = nameOf(id, principal);
    const isKnown = async (run: string) => (await records.run(run)) !== undefined;
    const { isNew, thread } = await holdThread({ threads, isKnown, clock }, name, { ...run, flow });
    return new Turn({ threads, name, run: run.run, flow, ports, clock, isNew, thread });
  }

  /**
   * An input with the history of the thread.
   * @throws TesseraError BAD_INPUT where the input has one of its own, or the question is too long
   */
  async withHistory(input: unknown, document: FlowDocument, most = threadTokens): Promise<unknown> {
    const { history = "", query } = this.held.ports;
    if (typeof input !== "object" || input === null) return input;
    const path = `${this.held.flow}.${history}`;
    if ((input as Row)[history] !== undefined)
      throw new TesseraError("BAD_INPUT", "the thread gives the history of its runs", { path });
    assertLength((input as Row)[query], `${this.held.flow}.${query}`);
    const { thread } = this.held;
    if (thread.turns === 0) return input;
    // the last turn that a summary stands for says what the next question is about
    const first = Math.max(0, (thread.summary?.turns ?? 0) - 1);
    const turns = await this.held.threads.turns(this.held.name, { limit: Math.min(most, thread.turns - first) });
    const messages = messagesOfThread(thread, turns, most);
    return { ...(input as Row), [history]: historyValue(document.input[history]!, messages) };
  }

  /** Keeps the turn of a run that has ended, and frees the thread; a run that waits keeps it. */
  async ended({ status, output }: RunResult<unknown>, input: Row): Promise<void> {
    if (status === "waiting") return;
    const { answer = "", query } = this.held.ports;
    const { summary, ...said } = output as Row;
    const assistant = answerText(said[answer]).slice(0, threadLimits.characters);
    const { run, flow } = this.held;
    const turn = { run, flow, user: String(input[query]), assistant, at: dateOf(this.held.clock) };
    const isWhole = status === "done" || assistant !== "";
    const summed = typeof summary === "string" && summary.trim() !== "" && { summary };
    await this.held.threads.close(this.held.name, run, isWhole ? { turn, ...summed } : undefined);
  }

  /** Frees the thread: the run ended without an answer. */
  failed(): Promise<void> {
    return this.held.threads.close(this.held.name, this.held.run);
  }

  /** Frees the thread of a run that did not begin, unless it had it before. */
  async notBegun(): Promise<void> {
    if (this.held.isNew) await this.failed();
  }
}

/** The ports of a flow for conversations. @throws TesseraError BAD_ARGUMENT */
function conversing(document: FlowDocument): ChatPorts {
  const ports = chatPorts(document);
  const lacks = (what: string) =>
    new TesseraError("BAD_ARGUMENT", `the flow cannot work on a thread: it has no ${what}`, {
      path: document.name,
      hint: "a conversation needs the inputs `query` and `history` and the output `text` or `answer`, or what `serve` names",
    });
  if (document.input[ports.query] !== "text") throw lacks(`input "${ports.query}" of type text`);
  if (ports.history === undefined) throw lacks("input for the history");
  if (ports.answer === undefined || !Object.hasOwn(document.output, ports.answer)) throw lacks("output for the answer");
  return ports;
}

function assertLength(query: unknown, path: string): void {
  if (typeof query === "string" && query.length > threadLimits.characters)
    throw new TesseraError("BAD_INPUT", `a question on a thread has at most ${threadLimits.characters} characters`, {
      path,
    });
}

interface Turning {
  readonly journal: { durable(): Promise<unknown> | unknown };
  readonly input: Row;
  readonly turn: Turn;
}

/** Gives a result once the thread has taken the turn, or is free where there is none. */
export async function withTurn<R extends RunResult<unknown>>(
  result: Promise<R>,
  { journal, input, turn }: Turning,
): Promise<R> {
  let value: R;
  try {
    value = await result;
    await journal.durable();
  } catch (error) {
    // what the end of a service interrupted keeps its thread: it is taken up again
    const isInterrupted = TesseraError.is(error) && error.code === "ABORTED" && isClosed(error.cause);
    if (!isInterrupted) await turn.failed().catch(() => {});
    throw error;
  }
  await turn.ended(value, input);
  return value;
}
