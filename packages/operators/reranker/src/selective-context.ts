// public: selectiveContext
import { boundOf, hits, type LanguageModel, operator } from "@tessera/core";
import { asking, clip } from "@tessera/core/internal";
import { z } from "zod";
import { shorter, withText } from "./shorten.js";
import { demandScores, score, unitsOf } from "./surprisal.js";

const ends = { token: /(?:)/, phrase: /[,;:.!?()\n]\s*$/, sentence: /[.!?\n]["')\]]*\s*$/ };

/**
 * Selective Context (Li et al. 2023): the self-information of a unit is the sum over its tokens, I(u) = Σ −log p, and the
 * share `ratio` of the units with the least is dropped. The paper files it under selection, but it shortens passages, so
 * that it satisfies equation 13 and not 14 (erratum E12). Units are tokens, phrases between punctuation, or sentences.
 * Every passage becomes strictly shorter; hits beyond `hits` are cut by the ratio unscored.
 * @throws TesseraError MISSING_CAPABILITY at compile where the model cannot score a given text.
 */
export const selectiveContext = operator({
  name: "reranker.selective-context",
  version: 1,
  about: {
    module: "post-retrieval",
    submodule: "compression",
    paper: "Modular RAG, operator 24, equation 13 and erratum E12; Selective Context (Li et al. 2023)",
    summary: "Drops the parts of passages that tell a model least.",
  },
  config: z.strictObject({
    model: asking.model,
    characters: asking.characters,
    ratio: z.number().gt(0).lt(1).default(0.5),
    unit: z.enum(["token", "phrase", "sentence"]).default("phrase"),
    /** The most hits that are scored. */
    hits: z.int().positive().default(20),
  }),
  ports: { input: { hits }, output: { hits } },
  needs: { score: {} },
  bound: (config) => boundOf({ ...config, maxTokens: 0 }, config.hits, 1),
  setup: async ({ model: name, characters, ratio, unit, hits: most }, host) => {
    const model = await host.resource<LanguageModel>("model", name);
    demandScores(model, name);
    return async ({ hits: found }, context) => {
      const reduced = found.map(async (hit, index) => {
        const { text } = hit.passage;
        if (index >= most) return withText(hit, shorter(text, text.slice(0, Math.floor(text.length * (1 - ratio)))));
        const units = unitsOf(
          await score(model, "", clip(text, characters), context),
          (last) => !ends[unit].test(last),
        );
        const least = [...units.keys()].sort((a, b) => units[a]!.information - units[b]!.information || b - a);
        const dropped = new Set(least.slice(0, Math.min(units.length - 1, Math.ceil(units.length * ratio))));
        const kept = units.filter((_, place) => !dropped.has(place));
        return withText(
          hit,
          shorter(
            text,
            kept
              .map((part) => part.text)
              .join("")
              .trim(),
          ),
        );
      });
      return { hits: await Promise.all(reduced) };
    };
  },
});
