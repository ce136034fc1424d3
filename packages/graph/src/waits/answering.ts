// public: AnswerOptions
// internal: openWaitsOf, hasCome
import { randomUUID } from "node:crypto";
import { type Clock, type Principal, type Records, type RunRecord, TesseraError } from "@tessera/core";
import {
  dateOf,
  didYouMean,
  type JournalEntry,
  type PendingWait,
  type RunJournal,
  schemaOf,
  systemClock,
  type WaitNote,
  type WaitNotes,
  waitTypeOf,
} from "@tessera/core/internal";
import { lifeOf } from "../claims.js";
import { misfit } from "../foreign.js";
import type { Row } from "../program.js";
import { pack, unpack } from "../records/pack.js";
import { answeredRow, endedEntry, inOrder, isPending, pathOfSignal, signalAt, type Wait, waitOf } from "./entries.js";
import type { DeclaredSignal } from "./signals.js";

/** Who answers. */
export interface AnswerOptions {
  /**
   * Who answers or sends. It must be the principal of the run, or one of those whom the wait names; its id becomes the
   * output `by`. Without it the caller is trusted, as every caller in the same process is.
   */
  readonly by?: Principal | undefined;
  /** The scopes of whoever answers, where a service has some. */
  readonly scopes?: readonly string[] | undefined;
  /** Whether `by` may answer every wait. */
  readonly anyone?: boolean | undefined;
}

export interface Answer {
  readonly path: string;
  readonly value: unknown;
}

export interface Signal {
  readonly name: string;
  readonly value: unknown;
}

/** The records of a run, and the clock. */
export interface Place {
  readonly records: Records;
  readonly record: RunRecord;
  readonly clock?: Clock | undefined;
}

const notesOf = ({ waits }: Records): WaitNotes => {
  if (!waits) throw new TesseraError("BAD_ARGUMENT", "these records cannot keep runs that wait");
  return waits;
};

const ownerOf = ({ principal }: RunRecord): string | undefined => (principal as Principal | undefined)?.id;

function assertMayAnswer(record: RunRecord, who: PendingWait["who"], place: string, options: AnswerOptions): void {
  const { by, scopes = [], anyone } = options;
  if (!by || anyone || ownerOf(record) === by.id) return;
  if (who?.groups?.some((group) => by.groups?.includes(group))) return;
  if (who?.scope !== undefined && scopes.includes(who.scope)) return;
  throw new TesseraError("FORBIDDEN", `"${by.id}" may not answer this wait`, {
    path: place,
    hint: "the principal of the run may, and whom the setting `who` of the wait names",
  });
}

/** Whether a step belongs to an attempt that failed, or to a node that its policy left out. */
function isGivenUp({ entries }: RunJournal, path: string): boolean {
  for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
    const node = path.slice(0, end);
    const bare = node.replace(/!\d+$/, "");
    if (entries.get(bare)?.skipped || entries.get(node === bare ? `${node}!1` : node)?.skipped) return true;
  }
  return false;
}

/** The entries of the steps of a run that wait. */
const openEntries = (journal: RunJournal): JournalEntry[] =>
  [...journal.entries.values()].filter((entry) => isPending(entry) && !isGivenUp(journal, entry.path));

/** What a run waits for, as its records say. */
export async function openWaitsOf(records: Records, { id, flow }: RunRecord): Promise<Wait[]> {
  const open = openEntries(await records.journal(id));
  const waits = open.map(async (entry) => waitOf(id, flow, entry, (await unpack(entry.output, records)).payload));
  return inOrder(await Promise.all(waits));
}

/** Whether something has come that a run waits for. */
export function hasCome({ entries }: RunJournal, { path, signal }: Pick<Wait, "path" | "signal">): boolean {
  const entry = entries.get(path);
  if (!entry || !isPending(entry)) return true;
  if (signal === undefined) return false;
  return [...entries.values()].some(
    ({ mark, path }) =>
      mark === "signal" &&
      signalAt(path).name === signal &&
      !entries.has(pathOfSignal(signal, signalAt(path).number, true)),
  );
}

/** What has come to a run from outside: the ends of its waits, and the signals that nobody has taken. */
export const arrivalsOf = ({ entries }: RunJournal): JournalEntry[] =>
  [...entries.values()].filter(({ mark, path, wait }) => {
    if (mark !== "signal") return mark === undefined && wait?.ended !== undefined;
    const { name, number } = signalAt(path);
    return !entries.has(pathOfSignal(name, number, true));
  });

/** What is known of a run that waits, for whoever looks for it. */
export function noteOf(record: Pick<RunRecord, "id" | "flow" | "principal">, waits: readonly Wait[]): WaitNote {
  const dues = waits.flatMap(({ due }) => (due === undefined ? [] : [Date.parse(due)]));
  const principal = (record.principal as Principal | undefined)?.id;
  return {
    run: record.id,
    flow: record.flow,
    ...(principal !== undefined && { principal }),
    since: Math.min(...waits.map(({ since }) => Date.parse(since))),
    ...(dues.length > 0 && { due: Math.min(...dues) }),
    paths: waits.map(({ path }) => path),
  };
}

/** The entry of the wait at a path; a retried flow marks its attempts in the path ("ask/inner!2/approve"), which may be left out. */
function waitAt(journal: RunJournal, run: string, path: string): JournalEntry {
  const open = openEntries(journal);
  const bare = open.filter((entry) => entry.path.replaceAll(/!\d+/g, "") === path);
  const found = open.find((entry) => entry.path === path) ?? (bare.length === 1 ? bare[0] : undefined);
  if (found) return found;
  const known = journal.entries.get(path);
  if (known?.wait?.ended)
    throw new TesseraError("CONFLICT", `the wait was ended by ${endings[known.wait.ended.by]} already`, {
      path,
      hint: "fork the run at this path to see what another answer comes to",
    });
  if (known && isPending(known)) throw new TesseraError("CONFLICT", "the run waits there no longer", { path });
  const paths = open.map((entry) => entry.path);
  throw new TesseraError("NOT_FOUND", `run "${run}" waits for nothing at "${path}"`, {
    path,
    hint: didYouMean(path, paths) ?? (paths.length > 0 ? `it waits at ${paths.slice(0, 5).join(", ")}` : undefined),
  });
}

const endings = { answer: "an answer", signal: "a signal", time: "its time" } as const;

/** @throws TesseraError BAD_INPUT where an answer does not fit what a wait asks */
export function assertFits(wait: PendingWait, value: unknown, path: string): void {
  const type = waitTypeOf(wait);
  if (type === undefined)
    throw new TesseraError("BAD_INPUT", "the run sleeps: it takes no answer", { path, hint: "it wakes by itself" });
  const problem = misfit(schemaOf(type), value);
  if (problem)
    throw new TesseraError("BAD_INPUT", `the answer does not fit: ${problem.message}`, { path, cause: problem.cause });
  const { form } = wait;
  const stranger = form && Object.keys(value as Row).find((name) => !Object.hasOwn(form, name));
  if (stranger !== undefined)
    throw new TesseraError("BAD_INPUT", `the answer has no member "${stranger}"`, {
      path,
      hint: `its members are ${Object.keys(form!).join(", ")}`,
    });
}

/**
 * Ends the wait at a path of a run. It resolves when the answer would survive a crash.
 * @returns whether the run is under way in this process and goes on by itself; else somebody has to take it up
 * @throws TesseraError NOT_FOUND where nothing waits there; CONFLICT where another answer came first; BAD_INPUT; FORBIDDEN
 */
export async function answerWait(place: Place, { path, value }: Answer, options: AnswerOptions): Promise<boolean> {
  const { records, record, clock = systemClock } = place;
  const journal = await records.journal(record.id);
  const asked = waitAt(journal, record.id, path);
  const wait = asked.wait!;
  assertMayAnswer(record, wait.who, path, options);
  if (wait.signal !== undefined)
    throw new TesseraError("BAD_INPUT", `the step waits for the signal "${wait.signal}"`, {
      path,
      hint: "send it: signal(run, name, value)",
    });
  assertFits(wait, value, path);
  const by = options.by?.id;
  const ended = { by: "answer", at: dateOf(clock), ...(by !== undefined && { principal: by }) } as const;
  const { entry, texts } = endedEntry(asked, answeredRow(wait, value, by), ended);
  await wakeLater(place, wait.since, asked.path);
  const standing = await records.commit(record.id, entry, texts);
  if (standing.wait?.ended?.id !== entry.wait!.ended!.id)
    throw new TesseraError("CONFLICT", "another answer came first", { path });
  return lifeOf(records, record.id)?.bring(standing) ?? false;
}

/** Notes that a run has to be taken up, before what it waits for is written: after a crash in between somebody does it. */
async function wakeLater({ records, record }: Place, since: number, path: string): Promise<void> {
  const life = lifeOf(records, record.id);
  if (life && !life.over) return; // noted so already
  const notes = notesOf(records);
  const principal = ownerOf(record);
  const { id: run, flow } = record;
  const known = await notes.get(run);
  const fresh = { run, flow, ...(principal !== undefined && { principal }), since, paths: [path] };
  await notes.note({ ...(known ?? fresh), due: 0 });
}

/**
 * Sends a signal to a run, which a `flow.receive` of that name takes. It resolves when the signal would survive a crash.
 * @returns as `answerWait`
 * @throws TesseraError NOT_FOUND where no node of the flow receives such a signal; OVERLOADED where its queue is full;
 * BAD_INPUT, FORBIDDEN
 */
export async function sendSignal(
  place: Place,
  declared: ReadonlyMap<string, DeclaredSignal>,
  { name, value }: Signal,
  options: AnswerOptions,
): Promise<boolean> {
  const { records, record, clock = systemClock } = place;
  const { id } = record;
  const signal = declared.get(name);
  if (!signal)
    throw new TesseraError("NOT_FOUND", `no node of the flow "${record.flow}" receives the signal "${name}"`, {
      path: id,
      hint: didYouMean(name, declared.keys()),
    });
  assertMayAnswer(record, signal.who, id, options);
  const problem = misfit(schemaOf(signal.type), value);
  if (problem)
    throw new TesseraError("BAD_INPUT", `the value of the signal does not fit: ${problem.message}`, { path: id });
  const { entries } = await records.journal(id);
  const count = (mark: "signal" | "taken") =>
    [...entries.values()].filter((entry) => entry.mark === mark && signalAt(entry.path).name === name).length;
  const taken = count("taken");
  const open = [...entries.values()].find((entry) => isPending(entry) && entry.wait!.signal === name);
  if (open) await wakeLater(place, open.wait!.since, open.path);
  const input = randomUUID();
  const by = options.by?.id;
  const { refs, texts } = pack({ value, ...(by !== undefined && { by }) });
  const wait = { since: dateOf(clock) };
  for (let number = count("signal"); ; number++) {
    if (number - taken >= signal.queue)
      throw new TesseraError("OVERLOADED", `the run keeps at most ${signal.queue} signals "${name}"`, {
        path: id,
        hint: "send it again when the run has received one",
      });
    const path = pathOfSignal(name, number);
    const entry = { path, operator: "", version: 0, input, output: refs, mark: "signal", wait } as const;
    const standing = await records.commit(id, entry, texts);
    if (standing.input !== input) continue; // another sender was first
    return lifeOf(records, id)?.bring(standing) ?? !open;
  }
}
