// public: multiQuery
import { boundOf, declarePrompt, operator, text } from "@tessera/core";
import { asking } from "@tessera/core/internal";
import { z } from "zod";
import { otherQueries } from "./lines.js";
import { questioner } from "./question.js";

const asked = declarePrompt({
  name: "query.multi-query",
  version: "1",
  text: "You write search queries. Write {count} different wordings of the user's question, each from another angle or with other terms, each complete in itself, in the language of the question. One on a line, numbered, and nothing else.",
});

/**
 * Query expansion, f_qe(q) = {q1 … qn} with no q_i equal to q (equation 7): a language model writes up to `count`
 * other wordings. Retrieve them and the original in parallel and fuse. An answer that holds no query gives an empty
 * list, so that the original alone is searched.
 */
export const multiQuery = operator({
  name: "query.multi-query",
  version: 2,
  about: {
    module: "pre-retrieval",
    submodule: "query expansion",
    paper: "Modular RAG, operator 6, equation 7",
    summary: "Writes other wordings of a query.",
  },
  config: z.strictObject({
    ...asking,
    count: z.int().min(1).max(20).default(3),
    temperature: z.number().min(0).max(2).default(0.7),
  }),
  ports: { input: { query: text }, output: { queries: z.array(text) } },
  prompts: [asked],
  bound: (config) => boundOf(config, 1, 1),
  setup: async (config, host) => {
    const question = await questioner(asked, config, host);
    const { count, temperature } = config;
    return async ({ query }, context) => {
      const answer = await question({ query, words: { count }, temperature }, context);
      return { queries: otherQueries(answer.text, query, count) };
    };
  },
});
