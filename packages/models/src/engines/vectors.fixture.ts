import { dot, mulberry32 } from "@tessera/core/internal";

export const cosine = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));

/** Texts of 1 to `longest` ids of the tiny encoder's vocabulary. */
export function manyInputs(count: number, longest: number, seed = 1): number[][] {
  const random = mulberry32(seed);
  return Array.from({ length: count }, () =>
    Array.from({ length: 1 + Math.floor(random() * longest) }, () => Math.floor(random() * 160)),
  );
}
