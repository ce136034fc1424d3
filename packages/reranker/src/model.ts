import {
  ask,
  asking,
  boundOf,
  type Context,
  clip,
  fence,
  fenceRule,
  type Hit,
  hits,
  type LanguageModel,
  operator,
  text,
} from "@tessera/core";
import { z } from "zod";
import { ordered } from "./order.js";
import { judge } from "./verdict.js";

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

/** The windows over `count` hits from the back to the front, as beginnings. */
function windows(count: number, { window, step }: Settings): number[] {
  const starts: number[] = [];
  for (let start = Math.max(0, count - window); ; start = Math.max(0, start - step)) {
    starts.push(start);
    if (start === 0) return starts;
  }
}

/** A permutation of 0 … count − 1 out of what a model said, as in "[2] > [1]"; `undefined` where it names no place. */
export function readPermutation(answer: string, count: number): number[] | undefined {
  const named = [...answer.matchAll(/\d{1,4}/g)].map(([digits]) => Number(digits) - 1);
  const order = [...new Set(named)].filter((place) => place >= 0 && place < count);
  if (order.length === 0) return undefined;
  const said = new Set(order);
  return [...order, ...Array.from({ length: count }, (_, place) => place).filter((place) => !said.has(place))];
}

async function listwise(
  model: LanguageModel,
  query: string,
  found: readonly Hit[],
  config: Settings,
  context: Context,
) {
  const order = [...found];
  let read = false;
  for (const start of windows(order.length, config)) {
    const part = order.slice(start, start + config.window);
    const texts = part.map(({ passage }) => ({ ...passage, text: clip(passage.text, config.characters) }));
    const messages = [
      {
        role: "system",
        content: `Order the numbered passages by how well each answers the question, the best first. Write the numbers of all of them, as in [2] > [3] > [1], and nothing else. ${fenceRule}`,
      },
      {
        role: "user",
        content: `${fence(texts)}\n${fence([{ text: clip(query, config.characters) }], { tag: "question" })}`,
      },
    ] as const;
    const { text } = await ask(model, { messages, maxTokens: config.maxTokens, temperature: 0 }, context);
    const permutation = readPermutation(text, part.length);
    if (permutation) order.splice(start, part.length, ...permutation.map((place) => part[place]!));
    read ||= permutation !== undefined;
  }
  return { read, scored: order.map((hit, place) => ({ hit, score: 1 / (place + 1) })) };
}

async function pointwise(
  model: LanguageModel,
  query: string,
  found: readonly Hit[],
  config: Settings,
  context: Context,
) {
  const chances = await Promise.all(
    found.map(({ passage }) =>
      judge(
        model,
        "Does the passage help to answer the question?",
        query,
        passage,
        { ...config, maxTokens: 8 },
        context,
      ),
    ),
  );
  const scored = found.map((hit, place) => ({ hit, score: chances[place] ?? -1 }));
  return { read: chances.some((chance) => chance !== undefined), scored: scored.sort((a, b) => b.score - a.score) };
}

/**
 * Reranking by a language model. Listwise it orders windows of passages from the back to the front (Sun et al. 2023) and
 * the score is 1 / rank; pointwise it judges each passage, and the score is P(yes) from the log-probabilities of the first
 * token, or 1 and 0 where the model has none. Every hit is kept with its content (equation 12); ties keep their order.
 * A permutation that leaves places out is completed in their order; a passage whose verdict cannot be read follows those
 * with one, at −1; hits beyond `hits` follow all. Where nothing can be read the order stays, and `by` is "default".
 */
export const modelRerank = operator({
  name: "reranker.model",
  version: 1,
  about: {
    module: "post-retrieval",
    submodule: "rerank",
    paper: "Modular RAG, operator 22, equation 12; RankGPT (Sun et al. 2023)",
    summary: "Reranks by a language model, hit by hit or list by list.",
  },
  config: settings,
  ports: { input: { query: text, hits }, output: { hits, by: z.enum(["listwise", "pointwise", "default"]) } },
  bound: (config) =>
    config.style === "pointwise"
      ? boundOf({ ...config, maxTokens: 8 }, config.hits, 2)
      : boundOf(config, windows(config.hits, config).length, config.window + 1),
  setup: async (config, host) => {
    const model = await host.resource<LanguageModel>("model", config.model);
    const rerank = config.style === "listwise" ? listwise : pointwise;
    return async ({ query, hits: found }, context) => {
      if (found.length === 0) return { hits: [], by: "default" as const };
      const { read, scored } = await rerank(model, query, found.slice(0, config.hits), config, context);
      const rest = found.slice(config.hits).map((hit, index) => ({
        hit,
        score: config.style === "listwise" ? 1 / (config.hits + index + 1) : -1,
      }));
      return { hits: ordered("reranker.model", [...scored, ...rest]), by: read ? config.style : ("default" as const) };
    };
  },
});
