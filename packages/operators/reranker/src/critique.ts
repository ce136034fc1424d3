// public: critique
import { boundOf, declarePrompt, hits, type LanguageModel, openPrompt, operator, text } from "@tessera/core";
import { asking } from "@tessera/core/internal";
import { z } from "zod";
import { readings, verdictOn } from "./verdict.js";

const asked = declarePrompt({
  name: "reranker.critique",
  version: "1",
  text: "Does the passage say something true and relevant that helps to answer the question? Say Yes or No, and nothing else.",
});

/**
 * Selection by critique, {d | not P(d)} (equation 14): a language model judges each passage, and those judged no help are
 * dropped. What is kept stays as it is, in its order. At least `keep` hits stay: the best judged, the first on a tie. A
 * passage whose verdict cannot be read is kept, and so are hits beyond `hits`, which are not judged. `by` says of each that
 * was judged whether the chance came from the model's first token, from its text, or could not be read.
 */
export const critique = operator({
  name: "reranker.critique",
  version: 2,
  about: {
    module: "post-retrieval",
    submodule: "selection",
    paper: "Modular RAG, operator 25, equation 14",
    summary: "Drops the passages that a language model judges no help.",
  },
  config: z.strictObject({
    ...asking,
    maxTokens: asking.maxTokens.unwrap().default(8),
    /** The most hits that are judged. */
    hits: z.int().positive().default(20),
    keep: z.int().positive().default(1),
    /** A passage is dropped where its chance to help is below this. */
    least: z.number().min(0).max(1).default(0.5),
  }),
  ports: { input: { query: text, hits }, output: { hits, dropped: hits, by: z.array(z.enum(readings)) } },
  needs: { logprobs: { otherwise: "a verdict is Yes or No by the text, with no chance between", told: "by" } },
  prompts: [asked],
  bound: (config) => boundOf(config, config.hits, 2),
  setup: async (config, host) => {
    const model = await host.resource<LanguageModel>("model", config.model);
    const instructions = (await openPrompt(host, asked))();
    return async ({ query, hits: found }, context) => {
      const verdicts = await Promise.all(
        found
          .slice(0, config.hits)
          .map(({ passage }) => verdictOn(model, instructions, query, passage, config, context)),
      );
      const chance = (place: number) => verdicts[place]?.chance ?? 1;
      const best = [...found.keys()].sort((a, b) => chance(b) - chance(a) || a - b).slice(0, config.keep);
      const kept = new Set([...best, ...[...found.keys()].filter((place) => chance(place) >= config.least)]);
      return {
        hits: found.filter((_, place) => kept.has(place)),
        dropped: found.filter((_, place) => !kept.has(place)),
        by: verdicts.map(({ by }) => by),
      };
    };
  },
});
