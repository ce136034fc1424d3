/** The share of the given places where two lists of outputs agree. Errors agree with nothing, not even with errors. */
export const agreement = (a: readonly string[], b: readonly string[], places: readonly number[]): number =>
  places.length === 0 ? 0 : places.filter((place) => a[place] !== "!" && a[place] === b[place]).length / places.length;

/** The inputs that most candidates take: what a function does with arguments it was not made for tells nothing. */
export const accepted = (outputs: readonly (readonly string[])[]): number[] =>
  [...(outputs[0]?.keys() ?? [])].filter(
    (place) => outputs.filter((own) => own[place] !== "!").length * 2 > outputs.length,
  );

/**
 * Functional consensus: of the candidates for a function, the one whose outputs agree most with all of them, on the
 * inputs that most of them take (FunCoder, equation 2: the argument of the largest Σ similarity). `alike` are the
 * candidates that agree with the winner on more than half; `undefined` where all candidates only throw.
 */
export function consensus(outputs: readonly (readonly string[])[]): { index: number; alike: number[] } | undefined {
  const places = accepted(outputs);
  let best: { index: number; votes: number } | undefined;
  for (const [index, own] of outputs.entries()) {
    const votes = outputs.reduce((sum, other) => sum + agreement(own, other, places), 0);
    if (votes > 0 && (!best || votes > best.votes)) best = { index, votes };
  }
  if (!best) return undefined;
  const winner = outputs[best.index]!;
  const alike = [...outputs.keys()].filter((index) => agreement(outputs[index]!, winner, places) > 0.5);
  return { index: best.index, alike };
}
