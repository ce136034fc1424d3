/** The form in which two short answers are the same: without case, punctuation, articles and spacing (SQuAD's rule). */
export const normal = (text: string): string =>
  text
    .normalize("NFKC")
    .toLowerCase()
    .replace(/\[\d+\]/g, " ")
    .replace(/[^\p{L}\p{N}\s]/gu, "")
    .replace(/(?<![\p{L}\p{N}])(?:a|an|the)(?![\p{L}\p{N}])/gu, " ")
    .replace(/\s+/g, " ")
    .trim();

/** Sums the weights of equal answers, and gives the index of the heaviest's first and its share of all. */
export function vote(answers: readonly string[], weights: readonly number[]): { winner: number; share: number } {
  const groups = new Map<string, { first: number; weight: number }>();
  for (const [index, answer] of answers.entries()) {
    const group = groups.get(normal(answer));
    if (group) group.weight += weights[index]!;
    else groups.set(normal(answer), { first: index, weight: weights[index]! });
  }
  const best = [...groups.values()].reduce((most, next) => (next.weight > most.weight ? next : most));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return { winner: best.first, share: total > 0 ? best.weight / total : 0 };
}
