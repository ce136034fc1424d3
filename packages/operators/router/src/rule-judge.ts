// public: ruleJudge
import { flag, number, operator, text } from "@tessera/core";
import { z } from "zod";

const tokens = z.array(z.object({ text: z.string(), logprob: z.number() }));

/**
 * The rule judge: a tentative sentence is accepted if and only if every one of its tokens has probability ≥ τ (FLARE,
 * Jiang et al. 2023; the paper files it under prompts too: erratum E13). For the retrieval that else follows, `query` is
 * the sentence without its tokens of probability ≤ β; where that leaves no word it is the whole sentence.
 * `judged` is "no-tokens" where the model gave none (it has no log-probabilities): then nothing is accepted, and a flow
 * may route to a model judge instead.
 */
export const ruleJudge = operator({
  name: "router.rule-judge",
  version: 1,
  about: {
    module: "orchestration",
    submodule: "scheduling",
    paper: "Modular RAG, operator 34 and erratum E13; FLARE (Jiang et al. 2023)",
    summary: "Accepts a sentence where every token is probable enough.",
  },
  config: z.strictObject({
    /** τ, a probability. */
    threshold: z.number().min(0).max(1).default(0.8),
    /** β, a probability; tokens at or below it are left out of the query. */
    mask: z.number().min(0).max(1).default(0.4),
  }),
  ports: {
    input: { text, tokens: tokens.optional() },
    output: { accepted: flag, query: text, lowest: number, judged: z.enum(["tokens", "no-tokens"]) },
  },
  effects: "none",
  setup:
    ({ threshold, mask }) =>
    ({ text, tokens = [] }) => {
      if (tokens.length === 0) return { accepted: false, query: text, lowest: 0, judged: "no-tokens" as const };
      const lowest = Math.exp(Math.min(...tokens.map(({ logprob }) => logprob)));
      const sure = tokens.filter(({ logprob }) => Math.exp(logprob) > mask).map((token) => token.text);
      const query = sure.join("").replace(/\s+/g, " ").trim();
      return {
        accepted: lowest >= threshold,
        query: /[\p{L}\p{N}]/u.test(query) ? query : text.trim(),
        lowest,
        judged: "tokens" as const,
      };
    },
});
