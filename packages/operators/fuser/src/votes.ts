import { normalAnswer } from "@tessera/text";

/** Sums the weights of answers that are equal in normal form, and gives the index of the heaviest's first and its share of all. */
export function vote(answers: readonly string[], weights: readonly number[]): { winner: number; share: number } {
  const groups = new Map<string, { first: number; weight: number }>();
  for (const [index, answer] of answers.entries()) {
    const form = normalAnswer(answer);
    const group = groups.get(form);
    if (group) group.weight += weights[index]!;
    else groups.set(form, { first: index, weight: weights[index]! });
  }
  const best = [...groups.values()].reduce((most, next) => (next.weight > most.weight ? next : most));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return { winner: best.first, share: total > 0 ? best.weight / total : 0 };
}
