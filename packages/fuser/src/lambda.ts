// internal
import type { Hit } from "@tessera/core";

/** Equation 24: λ(d, q) = softmax of the similarities, here of the hits' scores divided by a temperature. */
export function lambdas(found: readonly Hit[], temperature: number): number[] {
  const most = Math.max(...found.map(({ score }) => score));
  const powers = found.map(({ score }) => Math.exp((score - most) / temperature));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}
