// public: weighted
import { type Encoder, type Hit, hits, operator, rank, TesseraError } from "@tessera/core";
import { didYouMean, mergeHits } from "@tessera/core/internal";
import { z } from "zod";

/** Scores of one list on a common scale. */
const normalisations = {
  /** (s − min) / (max − min), in [0, 1]; 1 for all where all are equal. */
  "min-max": (scores: readonly number[]) => {
    const [least, most] = [Math.min(...scores), Math.max(...scores)];
    return scores.map((score) => (most === least ? 1 : (score - least) / (most - least)));
  },
  /** (s − min) / Σ (s − min), which sum to 1; equal shares where all are equal. */
  sum: (scores: readonly number[]) => {
    const least = Math.min(...scores);
    const total = scores.reduce((sum, score) => sum + score - least, 0);
    return scores.map((score) => (total === 0 ? 1 / scores.length : (score - least) / total));
  },
  none: (scores: readonly number[]) => [...scores],
};

const best = (list: readonly Hit[]): Map<string, number> =>
  new Map(mergeHits([list]).map(({ passage, score }) => [passage.id, score]));

/**
 * Weighted fusion of named lists: score(d) = Σ_n w_n · norm_n(s_n(d)), where a list that does not hold d adds 0.
 * Names keep weights aligned when a list is skipped. Without `weights` all lists count alike; with them, a list without
 * a weight is an error, so that a misspelt name cannot go unnoticed. With `follow`, the lists `words` and `vectors` have
 * the weights that the encoder advises for its vectors beside words (`Encoder.words`).
 * @throws TesseraError BAD_INPUT for a list that has no weight.
 */
export const weighted = operator({
  name: "fuser.weighted",
  version: 1,
  about: {
    module: "orchestration",
    submodule: "fusion",
    paper: "Modular RAG, section IV-F",
    summary: "Fuses named lists by a weighted sum of normalised scores.",
  },
  config: z.strictObject({
    weights: z.record(z.string(), z.number().nonnegative()).optional(),
    follow: z.strictObject({ encoder: z.string(), words: z.string(), vectors: z.string() }).optional(),
    normalise: z.enum(["min-max", "sum", "none"]).default("min-max"),
    top: z.int().positive().optional(),
  }),
  ports: { input: { lists: z.record(z.string(), hits) }, output: { hits } },
  effects: "none",
  setup: async ({ weights: given, follow, normalise, top }, host) => {
    const words = follow && ((await host.resource<Encoder>("encoder", follow.encoder)).words ?? 0.5);
    const weights = words === undefined ? given : { ...given, [follow!.words]: words, [follow!.vectors]: 1 - words };
    return ({ lists }) => {
      const scores = new Map<string, number>();
      for (const [name, list] of Object.entries(lists)) {
        if (weights && !Object.hasOwn(weights, name))
          throw new TesseraError("BAD_INPUT", `the list "${name}" has no weight`, {
            hint: didYouMean(name, Object.keys(weights)),
          });
        const own = best(list);
        const normal = normalisations[normalise]([...own.values()]);
        for (const [index, id] of [...own.keys()].entries())
          scores.set(id, (scores.get(id) ?? 0) + (weights?.[name] ?? 1) * normal[index]!);
      }
      const scored = mergeHits(Object.values(lists)).map((hit) => ({ hit, score: scores.get(hit.passage.id)! }));
      return { hits: rank("fuser.weighted", scored, top) };
    };
  },
});
