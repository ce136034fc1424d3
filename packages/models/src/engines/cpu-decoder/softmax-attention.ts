import type { Kernels } from "./kernels.js";

/** A query, where its attention goes, how many tokens it sees and where these lie: addresses. */
export interface Query {
  readonly from: number;
  readonly to: number;
  readonly visible: number;
  readonly table: number;
}

/** Keys of one head that are read for all queries before the next ones: they stay in the cache nearest to the core. */
const keysAtOnce = 64;

/** Keys and values of one head: where the first row of each begins, and bytes of a head and of a row. */
interface KeyValueHead {
  readonly keys: number;
  readonly values: number;
  readonly bytes: number;
  readonly stride: number;
  readonly blockTokens: number;
}

/** What a thread works with: `room` bytes for the scores of each query, from `scores` on. */
interface AttentionRoom {
  readonly kernels: Kernels;
  readonly floats: Float32Array;
  readonly scores: number;
  readonly room: number;
}

/**
 * Attention of queries that meet one head of keys and values: scores of all, some keys at a time, so that keys stay in the
 * cache; their powers; then the sums of values likewise. Neighbours of one sequence go in pairs.
 */
export function attendQueries(
  queries: readonly Query[],
  { keys, values, bytes, stride, blockTokens }: KeyValueHead,
  scale: number,
  { kernels, floats, scores: scoresAt, room }: AttentionRoom,
): void {
  const tiles: { readonly first: number; readonly two: boolean; readonly visible: number }[] = [];
  for (let i = 0; i < queries.length; i++) {
    const two = queries[i]!.table === queries[i + 1]?.table;
    const visible = Math.max(queries[i]!.visible, two ? queries[i + 1]!.visible : 0);
    tiles.push({ first: i, two, visible });
    if (two) i++;
  }
  const longest = Math.max(...queries.map(({ visible }) => visible));
  const atOnce = tiles.length === 1 ? longest : Math.ceil(keysAtOnce / blockTokens) * blockTokens;
  const scoresOf = (i: number): number => scoresAt + room * i;
  const places = [bytes, stride] as const;
  const each = (work: (tile: (typeof tiles)[number], from: number, where: readonly number[]) => void): void => {
    for (let from = 0; from < longest; from += atOnce)
      for (const tile of tiles)
        if (tile.visible > from) {
          const entry = queries[tile.first]!.table + (4 * from) / blockTokens;
          work(tile, from, [...places, entry, blockTokens, Math.min(atOnce, tile.visible - from)]);
        }
  };
  each(({ first, two }, from, where) => {
    const [a, b] = [queries[first]!, queries[first + 1]];
    const [scoresA, scoresB] = [scoresOf(first) + 4 * from, scoresOf(first + 1) + 4 * from];
    if (two) kernels.scoreKeysOfTwo(a.from, b!.from, scoresA, scoresB, keys, ...where, scale);
    else kernels.scoreKeys(a.from, scoresA, keys, ...where, scale);
  });
  const rates: number[] = [];
  for (const { first, two, visible } of tiles)
    for (const i of two ? [first, first + 1] : [first]) {
      const length = Math.ceil(visible / 4) * 4;
      const scores = scoresOf(i);
      // behind the visible ones nothing counts
      floats.fill(-3.4e38, scores / 4 + queries[i]!.visible, scores / 4 + length);
      rates[i] = 1 / kernels.powers(scores, scores, length, kernels.largest(scores, length), 1);
    }
  each(({ first, two }, from, where) => {
    const [a, b] = [queries[first]!, queries[first + 1]];
    const [sharesA, sharesB] = [scoresOf(first) + 4 * from, scoresOf(first + 1) + 4 * from];
    const fresh = from === 0 ? 1 : 0;
    if (two) kernels.sumValuesOfTwo(sharesA, sharesB, a.to, b!.to, values, ...where, fresh);
    else kernels.sumValues(sharesA, a.to, values, ...where, fresh);
  });
  for (const [i, { to }] of queries.entries()) kernels.scaleRow(to, bytes / 4, rates[i]!);
}
