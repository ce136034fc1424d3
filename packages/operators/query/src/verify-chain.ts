// public: verifyChain
import { boundOf, declarePrompt, operator, text } from "@tessera/core";
import { asking } from "@tessera/core/internal";
import { z } from "zod";
import { otherQueries } from "./lines.js";
import { questioner } from "./question.js";

const asked = declarePrompt({
  name: "query.verify-chain",
  version: "1",
  text: 'You plan the checking of a draft answer. For each fact that it states, write a question whose answer shows whether the fact holds; {count} at most. Ask openly ("When was X built?", not "Was X built in 1900?"), so that nothing of the draft is given away, and so that each can be understood alone. One on a line, numbered, and nothing else.',
});

/**
 * Chain of verification, its planning step (Dhuliawala et al. 2023): questions that check the facts of a draft. They
 * are the expanded queries: retrieve and answer each one without the draft (factored), then revise it. An answer
 * without a question gives an empty list: there is nothing to check.
 */
export const verifyChain = operator({
  name: "query.verify-chain",
  version: 2,
  about: {
    module: "pre-retrieval",
    submodule: "query expansion",
    paper: "Modular RAG, operator 8, equation 7; Dhuliawala et al. 2023 (CoVe)",
    summary: "Asks the questions that check a draft.",
  },
  config: z.strictObject({ ...asking, count: z.int().min(1).max(20).default(5) }),
  ports: { input: { query: text, draft: text }, output: { queries: z.array(text) } },
  prompts: [asked],
  bound: (config) => boundOf(config, 1, 2),
  setup: async (config, host) => {
    const question = await questioner(asked, config, host);
    const { count } = config;
    return async ({ query, draft }, context) => {
      const answer = await question({ query, words: { count }, others: { draft } }, context);
      return { queries: otherQueries(answer.text, query, count) };
    };
  },
});
