// public: recallAt, precisionAt, allAt, reciprocalRank, averagePrecision, ndcgAt
/**
 * Measures of a ranking against the ids that are relevant. `ranked` is best first; an id that comes again keeps its place
 * and is relevant no second time. Relevance is binary. Every measure lies between 0 and 1; where nothing is relevant it
 * is NaN, and belongs into no mean.
 */

/** The share of the relevant that stand among the first k. */
export function recallAt(k: number, ranked: readonly string[], relevant: ReadonlySet<string>): number {
  return found(k, ranked, relevant) / relevant.size;
}

/** The share of the first k places that hold a relevant one; places that were not filled count. */
export function precisionAt(k: number, ranked: readonly string[], relevant: ReadonlySet<string>): number {
  return relevant.size === 0 ? Number.NaN : found(k, ranked, relevant) / k;
}

/** 1 where every relevant one stands among the first k, else 0. */
export function allAt(k: number, ranked: readonly string[], relevant: ReadonlySet<string>): number {
  return relevant.size === 0 ? Number.NaN : Number(found(k, ranked, relevant) === relevant.size);
}

/** 1 / the rank of the first relevant one, ranks from 1; 0 where there is none (its mean over questions is MRR). */
export function reciprocalRank(ranked: readonly string[], relevant: ReadonlySet<string>): number {
  if (relevant.size === 0) return Number.NaN;
  const index = ranked.findIndex((id) => relevant.has(id));
  return index < 0 ? 0 : 1 / (index + 1);
}

/** The mean, over the relevant ones, of the precision at the rank of each (its mean over questions is MAP). */
export function averagePrecision(ranked: readonly string[], relevant: ReadonlySet<string>): number {
  let hits = 0;
  let sum = 0;
  for (const rank of ranks(ranked, relevant)) sum += ++hits / rank;
  return sum / relevant.size;
}

/** DCG / ideal DCG over the first k, DCG = Σ rel_i / log2(i + 1), ranks from 1 (Järvelin and Kekäläinen 2002). */
export function ndcgAt(k: number, ranked: readonly string[], relevant: ReadonlySet<string>): number {
  const gain = (rank: number): number => 1 / Math.log2(rank + 1);
  let dcg = 0;
  for (const rank of ranks(ranked.slice(0, k), relevant)) dcg += gain(rank);
  let ideal = 0;
  for (let rank = 1; rank <= Math.min(k, relevant.size); rank++) ideal += gain(rank);
  return dcg / ideal;
}

/** The ranks, from 1, at which relevant ids stand for the first time. */
function ranks(ranked: readonly string[], relevant: ReadonlySet<string>): number[] {
  const seen = new Set<string>();
  const result: number[] = [];
  for (const [index, id] of ranked.entries()) {
    if (relevant.has(id) && !seen.has(id)) result.push(index + 1);
    seen.add(id);
  }
  return result;
}

const found = (k: number, ranked: readonly string[], relevant: ReadonlySet<string>): number =>
  ranks(ranked.slice(0, k), relevant).length;
