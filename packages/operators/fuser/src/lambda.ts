import type { Hit } from "@tessera/core";
import { softmax } from "@tessera/core/internal";

/** Equation 24: λ(d, q) = softmax of the similarities, here of the hits' scores divided by a temperature. */
export const lambdas = (found: readonly Hit[], temperature: number): number[] =>
  softmax(
    found.map(({ score }) => score),
    temperature,
  );
