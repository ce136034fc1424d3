import type { Embedding } from "@tessera/core";
import { dot, mean } from "@tessera/core/internal";
import { type CodeEncoder, HashEncoder } from "@tessera/models";
import { Bm25Store } from "@tessera/stores";
import type { CodePair } from "./search.js";

/** What one query finds among its block: by words, and every code's cosine by hash features and by the model. */
interface Found {
  readonly words: ReadonlyMap<number, number>;
  readonly hash: Float64Array;
  readonly model: Float64Array;
}

const top = 50;

/** Scores and cosines of every query within its block of `pool` pairs; the model by one embedding for both sides. */
export async function findJoined(
  encoder: CodeEncoder,
  embedding: Embedding,
  pairs: readonly CodePair[],
  pool: number,
  signal?: AbortSignal,
): Promise<Found[]> {
  const found: Found[] = [];
  for (let first = 0; first < pairs.length; first += pool) {
    const block = pairs.slice(first, first + pool);
    const queries = block.map(({ text }) => text);
    const codes = block.map(({ code }) => code);
    const hash = new HashEncoder();
    hash.fit(codes);
    const store = new Bm25Store();
    await store.upsert(codes.map((text, i) => ({ id: String(i), text, metadata: {} })));
    const cosines = async (by: HashEncoder | CodeEncoder, how: Embedding): Promise<Float64Array[]> => {
      const rows = await by.encode(queries, { ...how, kind: "query" }, signal);
      const columns = await by.encode(codes, { ...how, kind: "code" }, signal);
      return rows.map((row) => Float64Array.from(columns, (column) => dot(row, column)));
    };
    const byHash = await cosines(hash, {});
    const byModel = await cosines(encoder, embedding);
    for (const [i, text] of queries.entries()) {
      const hits = await store.search({ text, top });
      const words = new Map(hits.map(({ passage, score }) => [Number(passage.id), score]));
      found.push({ words, hash: byHash[i]!, model: byModel[i]! });
    }
  }
  return found;
}

/**
 * The reciprocal rank of each query's own code where words and vectors are fused as the flow `hybrid` fuses them: the best
 * 50 of each, min-max by list, summed. The vectors score (1 − share) · hash + share · model. A tie counts against it.
 */
export const joinedReciprocals = (found: readonly Found[], share: number, pool: number): number[] =>
  found.map(({ words, hash, model }, i) => {
    const scored = Array.from(hash, (score, place) => [place, (1 - share) * score + share * model[place]!] as const);
    const near = new Map(scored.sort(([, a], [, b]) => b - a).slice(0, top));
    const sums = new Map<number, number>();
    for (const list of [words, near])
      for (const [place, score] of spread(list)) sums.set(place, (sums.get(place) ?? 0) + score);
    const own = sums.get(i % pool);
    if (own === undefined) return 0;
    return 1 / [...sums.values()].filter((score) => score >= own).length;
  });

/** The share of the model, of tenths, with the best MRR. */
export function chooseShare(found: readonly Found[], pool: number): number {
  const means = Array.from({ length: 11 }, (_, i) => mean(joinedReciprocals(found, i / 10, pool)));
  return means.indexOf(Math.max(...means)) / 10;
}

function spread(list: ReadonlyMap<number, number>): [number, number][] {
  const [least, most] = [Math.min(...list.values()), Math.max(...list.values())];
  return [...list].map(([place, score]) => [place, most === least ? 1 : (score - least) / (most - least)]);
}
