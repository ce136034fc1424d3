import type { Sampling } from "../engines/engine.js";

interface Likely {
  readonly id: number;
  readonly logprob: number;
}

/** The next token of one sequence from its logits, as `Sampling` says, in double precision. */
export function drawToken(
  logits: Float32Array,
  { temperature, topP, random, allowed, alternatives = 0 }: Sampling,
): { drawn: Likely; alternatives: readonly Likely[] } {
  const isAllowed = (id: number): boolean => allowed === undefined || ((allowed[id >> 5]! >>> (id & 31)) & 1) === 1;
  const order = [...logits.keys()].filter(isAllowed).sort((a, b) => logits[b]! - logits[a]! || a - b);
  const most = logits[order[0]!]!;
  const total = order.reduce((sum, id) => sum + Math.exp(logits[id]! - most), 0);
  const likely = (id: number): Likely => ({ id, logprob: logits[id]! - most - Math.log(total) });
  const best = order.slice(0, alternatives).map(likely);
  if (temperature === 0) return { drawn: likely(order[0]!), alternatives: best };

  const weights = order.map((id) => Math.exp((logits[id]! - most) / temperature));
  const mass = weights.reduce((sum, weight) => sum + weight, 0);
  // where each token of the nucleus ends on the line from 0 to its whole weight
  const ends: number[] = [];
  while (ends.length === 0 || (ends.length < order.length && ends.at(-1)! < topP * mass))
    ends.push((ends.at(-1) ?? 0) + weights[ends.length]!);
  const at = ends.findIndex((end) => random * ends.at(-1)! < end);
  return { drawn: likely(order[at]!), alternatives: best };
}
