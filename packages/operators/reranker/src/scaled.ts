/** Scores scaled to between 0, the least, and 1, the best; all 1 where all are equal. */
export function scaled(scores: readonly number[]): number[] {
  const [least, most] = [Math.min(...scores), Math.max(...scores)];
  return scores.map((score) => (most === least ? 1 : (score - least) / (most - least)));
}
