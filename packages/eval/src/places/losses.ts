import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Encoder, Passage, Store } from "@tessera/core";
import { words } from "@tessera/text";
import { type Cited, isPlace, type PlaceQuestion, touchesPlace } from "./place-set.js";

/** What was answered to a question, and on which way. */
export interface Asked {
  /** The first three. */
  readonly cited: readonly Cited[];
  readonly refused: boolean;
  readonly text: string;
  /** Where the passages stand that the answer was made from, the best first. */
  readonly hits: readonly Cited[];
  /** Where the first 50 of words and of vectors stand. */
  candidates(): Promise<readonly Cited[]>;
}

/** Where a question ended: the first that holds. */
export const lossKinds = ["right", "unread", "refused", "long", "beside", "cited", "ranked", "low", "missed"] as const;
export type Loss = (typeof lossKinds)[number];
export const lossNames: Readonly<Record<Loss, string>> = {
  right: "right",
  unread: "no passage holds the place",
  refused: "refused",
  long: "a citation holds the place and is too long",
  beside: "a citation stands beside the place, within 30 lines",
  cited: "among the first three passages, and not cited",
  ranked: "among the passages 4 to 20",
  low: "among the first 50 of words or vectors only",
  missed: "not among the first 50 of words or vectors",
};

/** What words and vectors find by themselves. */
export async function candidatesOf(
  resources: { readonly store?: object; readonly encoder?: object },
  query: string,
): Promise<Cited[]> {
  const { sparse, dense } = resources.store as Record<string, Store>;
  const { encoder } = resources.encoder as Record<string, Encoder>;
  const [vector] = await encoder!.encode([query], { kind: "query" });
  const lists = await Promise.all([sparse!.search({ text: query, top: 50 }), dense!.search({ vector, top: 50 })]);
  return lists.flat().map(({ passage }) => passage.source ?? {});
}

const besideLines = 30;

function standsBeside({ path, lines }: Cited, wanted: PlaceQuestion): boolean {
  if (path !== wanted.path || !lines || !wanted.lines) return false;
  return lines[0] - besideLines <= wanted.lines[1] && wanted.lines[0] <= lines[1] + besideLines;
}

/** Where a question was lost. */
export async function lossOf(
  { cited, refused, hits, candidates }: Asked,
  question: PlaceQuestion,
  passages: readonly Passage[],
): Promise<Loss> {
  const isHere = (one: Cited) => isPlace(one, question);
  if (cited.some(isHere)) return "right";
  if (!passages.some(({ source }) => isHere(source ?? {}))) return "unread";
  if (refused) return "refused";
  if (cited.some((one) => touchesPlace(one, question))) return "long";
  if (cited.some((one) => standsBeside(one, question))) return "beside";
  if (hits.slice(0, 3).some(isHere)) return "cited";
  if (hits.slice(0, 20).some(isHere)) return "ranked";
  return (await candidates()).some(isHere) ? "low" : "missed";
}

const leastWords = 4;

/** Whether an answer shows something of the place: a line or sentence of it that has at least four words. */
export async function showsPlace(
  text: string,
  question: PlaceQuestion,
  root: string,
  passages: readonly Passage[],
): Promise<boolean> {
  const place = ` ${(await wordsOfPlace(question, root, passages)).join(" ")} `;
  const pieces = (line: string) => (/^ {4}/.test(line) ? [line] : line.split(/(?<=[.!?。：]) |: /));
  return text
    .replace(/ \[\d+\](?: \([^)\n]*\))?/g, "\n")
    .split("\n")
    .flatMap(pieces)
    .map((part) => words(part.replace(/^\s*\d+ \| /, "").replace(/…$/, "")))
    .some((part) => part.length >= leastWords && place.includes(` ${part.join(" ")} `));
}

/** The words of the lines of a place; of a document that has no such lines, those of its passages. */
async function wordsOfPlace(question: PlaceQuestion, root: string, passages: readonly Passage[]): Promise<string[]> {
  const { path, lines } = question;
  const held = passages.filter(({ source }) => touchesPlace(source ?? {}, question)).map(({ text }) => text);
  if (!lines || /\.(?:x?html?|adoc|rst|mdx)$/.test(path)) return held.flatMap((text) => words(text));
  const rows = (await readFile(join(root, path), "utf8")).split("\n").slice(lines[0] - 1, lines[1]);
  // a comment is quoted without its marks, and without what breaks its lines
  const bare = rows.map((row) => row.replace(/^\s*(?:\/\/+!?|\/?\*+|#+)\s?/, ""));
  return [...words(bare.join(" ")), ...words(rows.join(" "))];
}
