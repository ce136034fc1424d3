import type { Hit } from "@tessera/core";

/** Notes the order that hits have already, with their new scores. */
export const ordered = (operator: string, scored: readonly { hit: Hit; score: number }[]): Hit[] =>
  scored.map(({ hit, score }, index) => ({
    passage: hit.passage,
    score,
    provenance: [...hit.provenance, { operator, rank: index + 1, score }],
  }));
