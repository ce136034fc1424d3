import type { Sampling } from "../engine.js";
import type { Kernels } from "./kernels.js";

interface Likely {
  readonly id: number;
  readonly logprob: number;
}

/** Logits of one token, and as much room for their powers: views of the shared memory, −∞ in the padding. */
interface LogitRoom {
  readonly logits: Float32Array;
  readonly powers: Float32Array;
}

/** Tokens of one bucket have weights within a factor of e^(1/8). */
const bucketsPerUnit = 8;
/** Weights below e^−87 are none. */
const buckets = 88 * bucketsPerUnit;

/**
 * As `drawToken`, without sorting the vocabulary: tokens fall into buckets by logit, and only the bucket where the
 * nucleus ends and the one that is drawn from are sorted. Overwrites both arrays.
 */
export function nextToken(
  kernels: Pick<Kernels, "largest" | "powers">,
  { logits, powers }: LogitRoom,
  { temperature, topP, random, allowed, alternatives = 0 }: Sampling,
): { drawn: Likely; alternatives: readonly Likely[] } {
  if (allowed) close(logits, allowed);
  const peak = kernels.largest(logits.byteOffset, logits.length);
  const total = kernels.powers(logits.byteOffset, powers.byteOffset, logits.length, peak, 1);
  if (!(total >= 1)) throw new Error("the logits are not finite");
  const likely = (id: number): Likely => ({ id, logprob: logits[id]! - peak - Math.log(total) });
  const best = likeliest(logits, alternatives).map(likely);
  if (temperature === 0) return { drawn: likely(logits.indexOf(peak)), alternatives: best };

  const rate = 1 / temperature;
  const mass = kernels.powers(logits.byteOffset, powers.byteOffset, logits.length, peak, rate);
  const bucketOf = (id: number): number => Math.floor((peak - logits[id]!) * rate * bucketsPerUnit);
  const masses = new Float64Array(buckets);
  for (let id = 0; id < powers.length; id++) if (powers[id]! > 0) masses[bucketOf(id)]! += powers[id]!;
  const ranked = (bucket: number): number[] => {
    const found: number[] = [];
    for (let id = 0; id < powers.length; id++) if (powers[id]! > 0 && bucketOf(id) === bucket) found.push(id);
    return found.sort((a, b) => logits[b]! - logits[a]! || a - b);
  };
  /** The token with which the weights of the likeliest first pass `wanted`, and their sum with it. */
  const reach = (wanted: number): { id: number; sum: number } => {
    let sum = 0;
    let last = 0;
    for (let bucket = 0; bucket < buckets; bucket++) {
      if (masses[bucket] === 0) continue;
      last = bucket;
      if (sum + masses[bucket]! < wanted) sum += masses[bucket]!;
      else
        for (const id of ranked(bucket)) {
          sum += powers[id]!;
          if (sum >= wanted) return { id, sum };
        }
    }
    return { id: ranked(last).at(-1)!, sum };
  };
  const nucleus = topP < 1 ? reach(topP * mass).sum : mass;
  return { drawn: likely(reach(Math.max(random * nucleus, Number.MIN_VALUE)).id), alternatives: best };
}

/** Takes away the tokens that may not be drawn. */
function close(logits: Float32Array, allowed: Uint32Array): void {
  for (let word = 0; 32 * word < logits.length; word++) {
    const bits = allowed[word] ?? 0;
    if (bits === 0xffffffff) continue;
    const first = 32 * word;
    if (bits === 0) logits.fill(Number.NEGATIVE_INFINITY, first, first + 32);
    else
      for (let bit = 0; bit < 32; bit++)
        if (((bits >>> bit) & 1) === 0 && first + bit < logits.length) logits[first + bit] = Number.NEGATIVE_INFINITY;
  }
}

/** The ids of the `count` largest, best first, of equal ones the lower. */
function likeliest(logits: Float32Array, count: number): number[] {
  const best: number[] = [];
  if (count === 0) return best;
  for (let id = 0; id < logits.length; id++) {
    const value = logits[id]!;
    if (value === Number.NEGATIVE_INFINITY || (best.length === count && !(value > logits[best.at(-1)!]!))) continue;
    let place = best.length;
    while (place > 0 && value > logits[best[place - 1]!]!) place--;
    best.splice(place, 0, id);
    if (best.length > count) best.pop();
  }
  return best;
}
