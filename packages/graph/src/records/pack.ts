// internal: hashesIn, unpack, seal, unseal, sumOf, taken, unknownRun, assertRunId
import { type Records, TesseraError } from "@tessera/core";
import {
  type Charge,
  type JournalEntry,
  type RunJournal,
  sha256,
  type Texts,
  type ValueRefs,
} from "@tessera/core/internal";
import { decode, encode } from "./values.js";

const inline = 100; // characters; what is shorter stands in the entry itself

/** A row of values, ready to be kept. */
export interface Packed {
  readonly refs: ValueRefs;
  readonly texts: Texts;
}

/** @throws TesseraError BAD_OUTPUT for what cannot be kept. */
export function pack(row: Readonly<Record<string, unknown>>): Packed {
  const texts = new Map<string, string>();
  const refs: Record<string, string> = {};
  for (const [port, value] of Object.entries(row)) {
    if (value === undefined) continue; // a port that was skipped
    const text = encode(value, port);
    const hash = text.length > inline ? sha256(text) : undefined;
    if (hash) texts.set(hash, text);
    refs[port] = hash ? `#${hash}` : `=${text}`;
  }
  return { refs, texts };
}

/** The hashes that refs name. */
export const hashesIn = (refs: ValueRefs): string[] =>
  Object.values(refs)
    .filter((ref) => ref.startsWith("#"))
    .map((ref) => ref.slice(1));

/** @throws TesseraError RECORD_CORRUPT where a text is not there, or is not what its hash says. */
export async function unpack(refs: ValueRefs, records: Pick<Records, "texts">): Promise<Record<string, unknown>> {
  const hashes = hashesIn(refs);
  const texts: Texts = hashes.length > 0 ? await records.texts(hashes) : new Map();
  const row: Record<string, unknown> = {};
  for (const [port, ref] of Object.entries(refs)) {
    const hash = ref.startsWith("#") ? ref.slice(1) : undefined;
    const text = hash === undefined ? ref.slice(1) : texts.get(hash);
    if (text === undefined) throw corrupt("a value is not there", hash ?? port);
    if (hash !== undefined && sha256(text) !== hash) throw corrupt("a value is not what was written", hash);
    row[port] = decode(text);
  }
  return row;
}

export const corrupt = (message: string, path: string, cause?: unknown): TesseraError =>
  new TesseraError("RECORD_CORRUPT", message, {
    path,
    cause,
    hint: "the run cannot go on from here; begin it anew under another id",
  });

/** A line that says by itself whether it is whole: a part of its hash, a space, and JSON. */
export const seal = (value: unknown): string => {
  const text = encode(value);
  return `${sha256(text).slice(0, 32)} ${text}`;
};

/** @throws TesseraError RECORD_CORRUPT where a sealed line is not what was written. */
export function unseal<T>(line: string, path: string): T {
  const text = line.slice(33);
  if (line[32] !== " " || sha256(text).slice(0, 32) !== line.slice(0, 32)) throw corrupt("a record is damaged", path);
  return decode(text) as T;
}

/** Whether what stands in a journal stays when another result comes for its path. */
export const stands = (entry: JournalEntry, operator: string): boolean =>
  !entry.provisional && (entry.operator === "" || entry.operator === operator);

export const noCharge: Charge = { calls: 0, tokens: 0, layers: 0, cost: 0 };

/** The charges of attempts without a result, as a journal holds them. */
export function sumOf(charges: readonly Charge[]): Pick<RunJournal, "charged" | "attempts"> {
  const sum = { ...noCharge } as { -readonly [K in keyof Charge]: number };
  for (const { calls, tokens, layers, cost } of charges) {
    sum.calls += calls;
    sum.tokens += tokens;
    sum.layers += layers;
    sum.cost += cost;
  }
  return { charged: sum, attempts: charges.length };
}

/** The error of `begin` where an id is taken. */
export const taken = (id: string): TesseraError =>
  new TesseraError("CONFLICT", `there is a run "${id}" already`, {
    path: id,
    hint: "take another id, or go on with that run: resume(id)",
  });

/** The error of `commit` and `charge` where a run is not known. */
export const unknownRun = (id: string): TesseraError =>
  new TesseraError("RECORD_MISSING", `no run "${id}" is recorded`, { path: id });

/** @throws TesseraError BAD_ARGUMENT for what cannot name a run. */
export function assertRunId(id: string): void {
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(id))
    throw new TesseraError("BAD_ARGUMENT", `"${id}" cannot name a run`, {
      hint: "letters, digits, - and _, at most 128",
    });
}
