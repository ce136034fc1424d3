// public: rrf
import { hits, operator, rank } from "@tessera/core";
import { mergeHits } from "@tessera/core/internal";
import { z } from "zod";

/**
 * Reciprocal rank fusion: score(d) = Σ_r w_r / (k + rank_r(d)) over the lists that hold d, ranks from 1
 * (Cormack et al. 2009, k = 60). The weights are static, by the place of the list; lists beyond them have weight 1
 * (the paper's "dynamic weight assignment" does not exist in RRF: erratum E15). A passage counts once a list, at its
 * best rank. Ties are broken by passage id.
 */
export const rrf = operator({
  name: "fuser.rrf",
  version: 1,
  about: {
    module: "orchestration",
    submodule: "fusion",
    paper: "Modular RAG, operator 39; Cormack et al. 2009",
    summary: "Fuses ranked lists by reciprocal rank.",
  },
  config: z.strictObject({
    k: z.number().nonnegative().default(60),
    weights: z.array(z.number().nonnegative()).default([]),
    top: z.int().positive().optional(),
  }),
  ports: { input: { lists: z.array(hits) }, output: { hits } },
  effects: "none",
  setup:
    ({ k, weights, top }) =>
    ({ lists }) => {
      const scores = new Map<string, number>();
      for (const [index, list] of lists.entries()) {
        const ranked = new Set(list.map(({ passage }) => passage.id));
        for (const [place, id] of [...ranked].entries())
          scores.set(id, (scores.get(id) ?? 0) + (weights[index] ?? 1) / (k + place + 1));
      }
      const scored = mergeHits(lists).map((hit) => ({ hit, score: scores.get(hit.passage.id)! }));
      return { hits: rank("fuser.rrf", scored, top) };
    },
});
