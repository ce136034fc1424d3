// public: stepBack
import { boundOf, declarePrompt, operator, text } from "@tessera/core";
import { asking } from "@tessera/core/internal";
import { z } from "zod";
import { readOne } from "./lines.js";
import { questioner } from "./question.js";

const asked = declarePrompt({
  name: "query.step-back",
  version: "1",
  text: 'You step back from a question: you ask the more general one whose answer gives the principles or facts behind it. For "Why does my fetch in a loop open 4,000 sockets?" that is "How does an HTTP client pool connections?"; for "Was Ada Lovelace older than 30 when she died?" it is "When did Ada Lovelace live?". Write that one question and nothing else.',
});

/**
 * Step-back prompting (Zheng et al. 2023): the more general question behind a question. Retrieve for both and unite.
 * An answer without a question gives the original back, which a union then counts once.
 */
export const stepBack = operator({
  name: "query.step-back",
  version: 3,
  about: {
    module: "pre-retrieval",
    submodule: "query transformation",
    paper: "Modular RAG, operator 12, equation 8; Zheng et al. 2023",
    summary: "Asks the more general question behind a question.",
  },
  config: z.strictObject({ ...asking }),
  ports: { input: { query: text }, output: { query: text } },
  prompts: [asked],
  bound: (config) => boundOf(config, 1, 1),
  setup: async (config, host) => {
    const question = await questioner(asked, config, host);
    return async ({ query }, context) => {
      const answer = await question({ query }, context);
      return { query: readOne(answer.text) || query };
    };
  },
});
