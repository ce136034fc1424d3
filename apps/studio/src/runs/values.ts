import { longValue } from "../api/client.js";
import type { Answer, Hit, Json, Passage } from "../api/types.js";

type Row = Readonly<Record<string, Json>>;

export const isRow = (value: unknown): value is Row =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The hash of a long value that an event names instead of holding it. */
export const hashIn = (value: Json | undefined): string | undefined =>
  isRow(value) && typeof value.$value === "string" && Object.keys(value).length === 2 ? value.$value : undefined;

export const isPassage = (value: unknown): value is Passage =>
  isRow(value) && typeof value.id === "string" && typeof value.text === "string" && "metadata" in value;
export const isHit = (value: unknown): value is Hit =>
  isRow(value) && isPassage(value.passage) && typeof value.score === "number" && Array.isArray(value.provenance);
export const isHits = (value: unknown): value is readonly Hit[] =>
  Array.isArray(value) && value.length > 0 && value.every(isHit);
export const isAnswer = (value: unknown): value is Answer =>
  isRow(value) &&
  typeof value.text === "string" &&
  Array.isArray(value.citations) &&
  typeof value.refused === "boolean";

/** A value with the long ones in it in place of their hashes. */
export async function whole(run: string, value: Json | undefined): Promise<Json | undefined> {
  const hash = hashIn(value);
  if (hash !== undefined) return longValue(run, hash);
  if (!isRow(value)) return value;
  const entries = await Promise.all(
    Object.entries(value).map(async ([port, one]) => [port, (await whole(run, one)) ?? null] as const),
  );
  return Object.fromEntries(entries);
}

/** The words of a question that are looked for in texts: each as a beginning of a word. */
export function soughtWords(query: string): RegExp | undefined {
  const words = [...new Set(query.match(/[\p{L}\p{N}_]{3,}/gu) ?? [])];
  if (words.length === 0) return undefined;
  const stems = words.slice(0, 40).map((word) => word.slice(0, word.length > 6 ? word.length - 2 : undefined));
  return new RegExp(`(?<![\\p{L}\\p{N}])(?:${stems.join("|")})[\\p{L}\\p{N}]{0,4}(?![\\p{L}])`, "giu");
}

/** The text of a run that is its question: the input `query`, or else its first text. */
export function questionOf(input: Row | undefined): string | undefined {
  if (!input) return undefined;
  if (typeof input.query === "string") return input.query;
  return Object.values(input).find((value) => typeof value === "string");
}

/** The answer of a run: a text, and its citations where there are any. */
export function answerOf(output: Row | undefined): Answer | undefined {
  if (!output) return undefined;
  const found = (Object.values(output) as unknown[]).find(isAnswer);
  if (found) return found;
  const text = [output.text, output.answer, ...Object.values(output)].find((value) => typeof value === "string");
  return typeof text === "string" ? { text, citations: [], refused: false } : undefined;
}
