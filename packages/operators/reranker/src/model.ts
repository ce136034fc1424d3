// public: modelRerank
import {
  boundOf,
  type Context,
  declarePrompt,
  type Hit,
  hits,
  type LanguageModel,
  openPrompt,
  operator,
  text,
} from "@tessera/core";
import { asking } from "@tessera/core/internal";
import { z } from "zod";
import { listwise, listwisePrompt, windows } from "./listwise.js";
import { ordered } from "./order.js";
import { verdictOn } from "./verdict.js";

const settings = z
  .strictObject({
    ...asking,
    maxTokens: asking.maxTokens.unwrap().default(256),
    characters: asking.characters.unwrap().default(1200),
    style: z.enum(["listwise", "pointwise"]).default("listwise"),
    /** The most hits that are reranked; those behind them stay behind them, in their order. */
    hits: z.int().positive().default(40),
    /** Listwise: how many passages one prompt holds, and by how many the window moves forward. */
    window: z.int().min(2).default(20),
    step: z.int().positive().default(10),
  })
  .refine(({ window, step }) => step <= window, "a step longer than the window leaves hits out");
type Settings = z.output<typeof settings>;

const pointwisePrompt = declarePrompt({
  name: "reranker.model.pointwise",
  version: "1",
  text: "Does the passage help to answer the question? Say Yes or No, and nothing else.",
});

async function pointwise(
  model: LanguageModel,
  instructions: string,
  query: string,
  found: readonly Hit[],
  config: Settings,
  context: Context,
) {
  const verdicts = await Promise.all(
    found.map(({ passage }) => verdictOn(model, instructions, query, passage, { ...config, maxTokens: 8 }, context)),
  );
  const scored = found.map((hit, place) => ({ hit, score: verdicts[place]!.chance ?? -1 }));
  const read = verdicts.filter(({ by }) => by !== "default");
  const by = read.length === 0 ? "default" : read.every((one) => one.by === "probability") ? "probability" : "text";
  return { by, scored: scored.sort((a, b) => b.score - a.score) } as const;
}

/**
 * Reranking by a language model. Listwise it orders windows of passages from the back to the front (Sun et al. 2023) and
 * the score is 1 / rank; pointwise it judges each passage, and the score is P(yes) from the log-probabilities of the first
 * token, or 1 and 0 where the model has none. Every hit is kept with its content (equation 12); ties keep their order.
 * A permutation that leaves places out is completed in their order; a passage whose verdict cannot be read follows those
 * with one, at −1; hits beyond `hits` follow all. Where nothing can be read the order stays, and `by` is "default"; else it
 * says whether a list was read, or every verdict as a probability, or some as text.
 */
export const modelRerank = operator({
  name: "reranker.model",
  version: 2,
  about: {
    module: "post-retrieval",
    submodule: "rerank",
    paper: "Modular RAG, operator 22, equation 12; RankGPT (Sun et al. 2023)",
    summary: "Reranks by a language model, hit by hit or list by list.",
  },
  config: settings,
  ports: { input: { query: text, hits }, output: { hits, by: z.enum(["listwise", "probability", "text", "default"]) } },
  needs: { logprobs: { when: '`style` is "pointwise"', otherwise: "a verdict is 1 or 0 by the text", told: "by" } },
  prompts: [listwisePrompt, pointwisePrompt],
  bound: (config) =>
    config.style === "pointwise"
      ? boundOf({ ...config, maxTokens: 8 }, config.hits, 2)
      : boundOf(config, windows(config.hits, config).length, config.window + 1),
  setup: async (config, host) => {
    const model = await host.resource<LanguageModel>("model", config.model);
    const [rerank, asked] =
      config.style === "listwise" ? [listwise, listwisePrompt] : ([pointwise, pointwisePrompt] as const);
    const instructions = (await openPrompt(host, asked))();
    return async ({ query, hits: found }, context) => {
      if (found.length === 0) return { hits: [], by: "default" as const };
      const { by, scored } = await rerank(model, instructions, query, found.slice(0, config.hits), config, context);
      const rest = found.slice(config.hits).map((hit, index) => ({
        hit,
        score: config.style === "listwise" ? 1 / (config.hits + index + 1) : -1,
      }));
      return { hits: ordered("reranker.model", [...scored, ...rest]), by };
    };
  },
});
