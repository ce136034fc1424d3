// public: compress
import { boundOf, fence, hits, type LanguageModel, operator, text } from "@tessera/core";
import { asking, clip } from "@tessera/core/internal";
import { z } from "zod";
import { shorter, withText } from "./shorten.js";
import { demandScores, mostInformative, score, unitsOf } from "./surprisal.js";

/**
 * Compression by perplexity (after LLMLingua and LongLLMLingua, Jiang et al. 2023): each passage keeps the words that
 * surprise the model most, Σ −log p of a word's tokens, up to `ratio` of its characters; with `question` they are scored
 * after the query. Every passage becomes strictly shorter (equation 13); order, ids and scores stay. A passage is first
 * cut to `characters`, and hits beyond `hits` are cut to the ratio unscored.
 * @throws TesseraError MISSING_CAPABILITY at compile where the model cannot score a given text.
 */
export const compress = operator({
  name: "reranker.compress",
  version: 3,
  about: {
    module: "post-retrieval",
    submodule: "compression",
    paper: "Modular RAG, operator 23, equation 13; LLMLingua (Jiang et al. 2023)",
    summary: "Keeps of each passage the words that surprise a model most.",
  },
  config: z.strictObject({
    model: asking.model,
    characters: asking.characters,
    ratio: z.number().gt(0).lt(1).default(0.5),
    question: z.boolean().default(true),
    /** The most hits that are scored. */
    hits: z.int().positive().default(20),
  }),
  ports: { input: { query: text, hits }, output: { hits } },
  needs: { score: {} },
  bound: (config) => boundOf({ ...config, maxTokens: 0 }, config.hits, 2),
  setup: async ({ model: name, characters, ratio, question, hits: most }, host) => {
    const model = await host.resource<LanguageModel>("model", name);
    demandScores(model, name);
    return async ({ query, hits: found }, context) => {
      const before = question ? fence([{ text: clip(query, characters) }], { tag: "question" }) : "";
      const compressed = await Promise.all(
        found.map(async (hit, index) => {
          const { text } = hit.passage;
          const room = Math.floor(text.length * ratio);
          if (index >= most) return withText(hit, shorter(text, text.slice(0, room)));
          const tokens = await score(model, before, clip(text, characters), context);
          // a token without a space before it goes on with a word, and half a word says nothing
          const parts = unitsOf(tokens, (_, next) => !/^\s/.test(next));
          const units = parts.map(({ text, information }) => ({ size: text.length, information }));
          const kept = mostInformative(units, room).map((place) => parts[place]!.text);
          return withText(hit, shorter(text, kept.join("").trim()));
        }),
      );
      return { hits: compressed };
    };
  },
});
