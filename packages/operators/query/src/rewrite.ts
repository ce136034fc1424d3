// public: rewrite
import { boundOf, declarePrompt, operator, text } from "@tessera/core";
import { asking, normalQuery, withoutIntroduction } from "@tessera/core/internal";
import { z } from "zod";
import { readOne } from "./lines.js";
import { questioner } from "./question.js";

/** Cuts an answer at "**" and splits it at ";" (the protocol of Ma et al. 2023), each query once. */
export function readRewrites(answer: string, count: number): string[] {
  const seen = new Set<string>();
  return withoutIntroduction(answer)
    .split("**")[0]!
    .split(/;|\r?\n/)
    .map(readOne)
    .filter((query) => /\p{L}|\p{N}/u.test(query) && !seen.has(normalQuery(query)) && seen.add(normalQuery(query)))
    .slice(0, count);
}

const asked = declarePrompt({
  name: "query.rewrite",
  version: "1",
  text: "You turn a question into {form} for what one must know to answer it. Name things in full: resolve what the question only points at by the history, and ask for what the draft still lacks. Write nothing else, and end with **.",
});

/**
 * Query transformation, f_qt(q) = q' (equation 8): one query replaces the other. With `count` above 1 the model may
 * split a question into several queries, as rewrite-retrieve-read does; `query` is the first of them. The generator is
 * to be given the original question (algorithm 1). What was written or said so far may be given too (algorithms 5
 * and 7). An answer without a query gives the original back.
 */
export const rewrite = operator({
  name: "query.rewrite",
  version: 3,
  about: {
    module: "pre-retrieval",
    submodule: "query transformation",
    paper: "Modular RAG, operator 9, equation 8; Ma et al. 2023 (RRR)",
    summary: "Rewrites a question as a search query.",
  },
  config: z.strictObject({ ...asking, count: z.int().min(1).max(10).default(1) }),
  ports: {
    input: { query: text, history: text.optional(), draft: text.optional() },
    output: { query: text, queries: z.array(text) },
  },
  prompts: [asked],
  bound: (config) => boundOf(config, 1, 3),
  setup: async (config, host) => {
    const question = await questioner(asked, config, host);
    const { count } = config;
    const form = count === 1 ? "one search query" : `up to ${count} search queries, with ; between them,`;
    return async ({ query, history, draft }, context) => {
      const answer = await question({ query, words: { form }, others: { history, draft } }, context);
      const queries = readRewrites(answer.text, count);
      if (queries.length === 0) queries.push(query);
      return { query: queries[0]!, queries };
    };
  },
});
