// public: Wait
// internal: isPending
import { randomUUID } from "node:crypto";
import type { Json, PortType, WaitRequest } from "@tessera/core";
import {
  type Answerers,
  type JournalEntry,
  jsonSchemaOf,
  type PendingWait,
  type Texts,
  waitTypeOf,
} from "@tessera/core/internal";
import type { Row } from "../program.js";
import { pack } from "../records/pack.js";

/** Something that a run waits for. */
export interface Wait {
  readonly run: string;
  readonly flow: string;
  /** Its address: the path of the step, such as "ask/each[2]/approve". */
  readonly path: string;
  /** What ends it: an answer to its path, a signal of its name, or time alone. */
  readonly kind: "answer" | "signal" | "time";
  /** What whoever answers is shown. */
  readonly payload?: unknown;
  /** The JSON Schema of the answer. */
  readonly schema?: { readonly [key: string]: Json };
  readonly signal?: string;
  /** Since when it waits, and when it ends without an answer (ISO 8601). */
  readonly since: string;
  readonly due?: string;
  /** Who may answer besides the principal of the run. */
  readonly who?: Answerers;
}

/** Whether a step waits still, as its entry says. */
export const isPending = ({ wait, provisional }: JournalEntry): boolean => wait !== undefined && provisional === true;

/** An entry with the texts that it names. */
export interface EntryWithTexts {
  readonly entry: JournalEntry;
  readonly texts: Texts;
}

/** The entry of a step that begins to wait. */
export function pendingEntry(
  step: Pick<JournalEntry, "path" | "operator" | "version" | "input" | "key" | "charged">,
  request: WaitRequest,
  now: number,
): EntryWithTexts {
  const { payload, otherwise, timeoutMs, due, ...rest } = request;
  const end = Math.min(
    due ?? Number.POSITIVE_INFINITY,
    timeoutMs === undefined ? Number.POSITIVE_INFINITY : now + timeoutMs,
  );
  const { refs, texts } = pack({ payload, otherwise });
  const wait: PendingWait = { ...rest, since: now, ...(end < Number.POSITIVE_INFINITY && { due: end }) };
  return { entry: { ...step, output: refs, provisional: true, wait }, texts };
}

/** The entry of a step whose wait has ended. */
export function endedEntry(
  { provisional: _, ...pending }: JournalEntry,
  row: Row,
  ended: Omit<NonNullable<PendingWait["ended"]>, "id">,
): EntryWithTexts {
  const { refs, texts } = pack(row);
  const wait: PendingWait = { ...pending.wait!, ended: { ...ended, id: randomUUID() } };
  return { entry: { ...pending, output: refs, wait }, texts };
}

/** The output of a step that was answered. */
export function answeredRow({ form, port = "answer" }: PendingWait, value: unknown, by?: string): Row {
  const answer = form ? { ...(value as Row) } : { [port]: value };
  return { ...answer, timedOut: false, ...(by !== undefined && { by }) };
}

const isoOf = (moment: number): string => {
  const date = new Date(moment);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString();
};

/** A wait as the world sees it. */
export function waitOf(run: string, flow: string, { path, wait }: JournalEntry, payload: unknown): Wait {
  const { since, due, signal, who, ...types } = wait!;
  const type: PortType | undefined = waitTypeOf(types);
  return {
    run,
    flow,
    path,
    kind: signal !== undefined ? "signal" : type === undefined ? "time" : "answer",
    ...(payload !== undefined && { payload }),
    ...(type !== undefined && { schema: jsonSchemaOf(type) }),
    ...(signal !== undefined && { signal }),
    since: isoOf(since),
    ...(due !== undefined && { due: isoOf(due) }),
    ...(who && { who }),
  };
}

const byNumbers = new Intl.Collator("en", { numeric: true });

/** Waits in the order of their paths, which says nothing of time. */
export const inOrder = (waits: readonly Wait[]): Wait[] => [...waits].sort((a, b) => byNumbers.compare(a.path, b.path));

/** Where the journal of a run keeps a signal, and who took it. */
export const pathOfSignal = (name: string, number: number, taken = false): string =>
  `:${taken ? "taken" : "signal"}/${name}/${number}`;

/** The name and number of a signal whose entry has this path. */
export function signalAt(path: string): { readonly name: string; readonly number: number } {
  const [, name = "", number = ""] = path.split("/");
  return { name, number: Number(number) };
}
