import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { type Embedding, type Passage, TesseraError } from "@tessera/core";
import { mean, messageOf } from "@tessera/core/internal";
import type { CodeEncoder } from "@tessera/models";
import { Bm25Store } from "@tessera/stores";
import { bootstrap, type Interval, pairedBootstrap } from "../../measures/statistics.js";

/** A function and what it is asked for by. */
export interface CodePair {
  readonly text: string;
  readonly code: string;
}

const languages = ["javascript", "typescript", "python"];

/**
 * Documented functions of the mine (apps/train), the same `count` at every call: docstrings of at least three words in
 * JavaScript, TypeScript and Python, asked for by their first sentence.
 * @throws TesseraError BAD_SOURCE
 */
export async function readPairs(file: string, count: number): Promise<CodePair[]> {
  const pairs: CodePair[] = [];
  try {
    const lines = createInterface({ input: createReadStream(file, "utf8"), crlfDelay: Number.POSITIVE_INFINITY });
    for await (const line of lines) {
      const { kind, language, text, code } = JSON.parse(line) as Record<string, string>;
      if (kind !== "docstring" || !languages.includes(language!) || text!.split(/\s+/).length < 3) continue;
      pairs.push({ text: text!.split(/(?<=[.!?])\s|\n\s*\n/)[0]!.replace(/\s+/g, " "), code: code! });
    }
  } catch (cause) {
    throw new TesseraError("BAD_SOURCE", `the pairs cannot be read: ${messageOf(cause)}`, {
      path: file,
      cause,
      hint: "apps/train/mine.py writes pairs/held-out.jsonl; name it by --pairs or its folder by TESSERA_MINE",
    });
  }
  return shuffled(pairs).slice(0, count);
}

/** Fisher and Yates by the minimal standard generator (Park and Miller 1988). */
function shuffled<T>(values: readonly T[]): T[] {
  const all = [...values];
  let state = 17;
  for (let i = all.length - 1; i > 0; i--) {
    state = (state * 48271) % 2147483647;
    const j = state % (i + 1);
    [all[i], all[j]] = [all[j]!, all[i]!];
  }
  return all;
}

/** The rank of each query's own code, by width: 1 + how many others score at least as much. */
export type Ranks = ReadonlyMap<number, Float64Array>;

/**
 * Ranks among the codes of the same block of `pool` pairs, of every width in one pass over full vectors: the cosine of the
 * first w components is a partial dot product over partial norms. A tie counts against the query's own code.
 */
export function ranksOf(
  queries: readonly Float32Array[],
  codes: readonly Float32Array[],
  widths: readonly number[],
  pool: number,
): Ranks {
  const ranks = new Map(widths.map((width) => [width, new Float64Array(queries.length)]));
  const norms = codes.map((code) => partialNorms(code, widths));
  const scores = widths.map(() => new Float64Array(pool));
  for (const [i, query] of queries.entries()) {
    const first = i - (i % pool);
    const end = Math.min(first + pool, codes.length);
    for (let j = first; j < end; j++) {
      const code = codes[j]!;
      let sum = 0;
      let from = 0;
      for (let w = 0; w < widths.length; w++) {
        const width = widths[w]!;
        for (let k = from; k < width; k++) sum += query[k]! * code[k]!;
        scores[w]![j - first] = sum / norms[j]![w]!;
        from = width;
      }
    }
    for (const [w, width] of widths.entries()) {
      const own = scores[w]![i - first]!;
      let rank = 0;
      for (let j = 0; j < end - first; j++) if (scores[w]![j]! >= own) rank++;
      ranks.get(width)![i] = rank;
    }
  }
  return ranks;
}

function partialNorms(vector: Float32Array, widths: readonly number[]): number[] {
  let sum = 0;
  let from = 0;
  return widths.map((width) => {
    for (let k = from; k < width; k++) sum += vector[k]! ** 2;
    from = width;
    return Math.max(Math.sqrt(sum), 1e-12);
  });
}

export const reciprocals = (ranks: Float64Array): number[] => Array.from(ranks, (rank) => 1 / rank);

/** Vectors of full width by exit, of one precision. */
export interface Encoded {
  readonly precision: string;
  readonly queries: ReadonlyMap<number, readonly Float32Array[]>;
  readonly codes: ReadonlyMap<number, readonly Float32Array[]>;
}

/** Encodes all pairs at every exit. */
export async function encodePairs(
  encoder: CodeEncoder,
  precision: string,
  pairs: readonly CodePair[],
  progress: (done: number) => void,
  signal?: AbortSignal,
): Promise<Encoded> {
  const queries = new Map<number, readonly Float32Array[]>();
  const codes = new Map<number, readonly Float32Array[]>();
  let done = 0;
  for (const { layer } of encoder.model.exits) {
    const encode = async (texts: string[], how: Embedding & { kind: "query" | "code" }) => {
      const vectors: Float32Array[] = [];
      for (let from = 0; from < texts.length; from += 1000) {
        vectors.push(...(await encoder.encode(texts.slice(from, from + 1000), how, signal)));
        done += Math.min(1000, texts.length - from);
        progress(done);
      }
      return vectors;
    };
    queries.set(
      layer,
      await encode(
        pairs.map(({ text }) => text),
        { exit: layer, kind: "query" },
      ),
    );
    codes.set(
      layer,
      await encode(
        pairs.map(({ code }) => code),
        { exit: layer, kind: "code" },
      ),
    );
  }
  return { precision, queries, codes };
}

/** Ranks by words: the best `depth` of each query among its block, as places of pairs. */
export async function searchWords(pairs: readonly CodePair[], pool: number, depth: number): Promise<number[][]> {
  const found: number[][] = [];
  for (let first = 0; first < pairs.length; first += pool) {
    const block = pairs.slice(first, first + pool);
    const store = new Bm25Store();
    await store.upsert(block.map(({ code }, i): Passage => ({ id: String(first + i), text: code, metadata: {} })));
    for (const { text } of block)
      found.push((await store.search({ text, top: depth })).map(({ passage }) => Number(passage.id)));
  }
  return found;
}

/** The best `depth` of each query among its block by cosine. */
export function searchVectors(
  queries: readonly Float32Array[],
  codes: readonly Float32Array[],
  pool: number,
  depth: number,
): number[][] {
  return queries.map((query, i) => {
    const first = i - (i % pool);
    const scored = codes.slice(first, first + pool).map((code, j) => {
      let score = 0;
      for (let k = 0; k < query.length; k++) score += query[k]! * code[k]!;
      return { place: first + j, score };
    });
    return scored
      .sort((a, b) => b.score - a.score)
      .slice(0, depth)
      .map(({ place }) => place);
  });
}

/** Weighted reciprocal rank fusion of two rankings: w / (60 + rank) and (1 − w) / (60 + rank), ranks from 1. */
export function fuseRanks(words: readonly number[], vectors: readonly number[], weight: number): number[] {
  const scores = new Map<number, number>();
  for (const [list, share] of [
    [words, weight],
    [vectors, 1 - weight],
  ] as const)
    for (const [i, place] of list.entries()) scores.set(place, (scores.get(place) ?? 0) + share / (61 + i));
  return [...scores].sort(([a, x], [b, y]) => y - x || a - b).map(([place]) => place);
}

/** 1 / rank of each query's own place, 0 where it was not found. */
export const ownReciprocal = (lists: readonly (readonly number[])[]): number[] =>
  lists.map((list, i) => {
    const at = list.indexOf(i);
    return at < 0 ? 0 : 1 / (at + 1);
  });

/** The weight of the words, of tenths, with the best MRR; for choosing on other repositories than are judged. */
export function chooseWeight(words: readonly (readonly number[])[], vectors: readonly (readonly number[])[]): number {
  const fused = (weight: number): number =>
    mean(ownReciprocal(words.map((list, i) => fuseRanks(list, vectors[i]!, weight))));
  return Array.from({ length: 9 }, (_, i) => (i + 1) / 10).reduce((best, weight) =>
    fused(weight) > fused(best) ? weight : best,
  );
}

export const interval = (values: readonly number[]): Interval => bootstrap(values, { resamples: 1000 });
export const difference = (left: readonly number[], right: readonly number[]): Interval =>
  pairedBootstrap(left, right, { resamples: 1000 });
