import { type ReflectionTokens, reflecting } from "../self-rag/reflecting.js";

const tokens: ReflectionTokens = {
  retrieval: { retrieve: "[Retrieval]", continue: "[No Retrieval]" },
  relevance: { relevant: "[Relevant]", irrelevant: "[Irrelevant]" },
  support: {
    fully: "[Fully supported]",
    partially: "[Partially supported]",
    not: "[No support / Contradictory]",
  },
  usefulness: { 1: "[Utility:1]", 2: "[Utility:2]", 3: "[Utility:3]", 4: "[Utility:4]", 5: "[Utility:5]" },
};

/**
 * Self-RAG by reflection tokens: the flow "self-rag" for a model that was tuned to say such tokens, whose probabilities are
 * the verdicts. Asai et al. 2023; Modular RAG, algorithm 7 and operator 35 with special tokens. A segment is worth exp(mean
 * log-probability) + p(relevant) + p(fully) + p(partially) / 2, each share of its judge's tokens, + 0.5 · Σ v · p(utility), v
 * from −1 to 1, as in the authors' code; retrieval above 0.2. It needs log-probabilities with their alternatives, and is
 * refused at compile without. No such weights come with it: a judge asks for its token by a prompt of its own, where the
 * authors' model says it in passing.
 */
export const selfRagTokens = reflecting("self-rag-tokens", tokens);
