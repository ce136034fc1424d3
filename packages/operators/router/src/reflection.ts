// public: reflection
import { flag, number, operator, text } from "@tessera/core";
import { z } from "zod";

const chances = z.record(z.string(), number);
const tokens = z.array(z.object({ text: z.string(), logprob: z.number() }));

/** Self-RAG's values of the grades of usefulness, 1 to 5. */
const values: Readonly<Record<string, number>> = { "1": -1, "2": -0.5, "3": 0, "4": 0.5, "5": 1 };

/** The expectation of a value over chances, which need not sum to 1; 0 where there are none. */
function expectation(of: Readonly<Record<string, number>> = {}, valued: Readonly<Record<string, number>>): number {
  const total = Object.values(of).reduce((sum, chance) => sum + chance, 0);
  if (total === 0) return 0;
  return Object.entries(of).reduce((sum, [grade, chance]) => sum + chance * (valued[grade] ?? 0), 0) / total;
}

/**
 * Self-RAG's score of a segment (Asai et al. 2023, section 3.3, by its reference code):
 * exp(mean log-probability) + w_rel · P(relevant) + w_sup · (P(fully) + P(partially) / 2) + w_use · Σ v_i · P(i), with
 * v = (−1, −0.5, 0, 0.5, 1) for the grades 1 to 5, each P a share of its judge's chances. A part that is not given counts
 * 0: so does the first where the model has no log-probabilities. An empty segment is the end of its path, and scores 0.
 * The weight of usefulness is the 0.5 of the authors' README; their code has 1.
 */
export const reflection = operator({
  name: "router.reflection",
  version: 1,
  about: {
    module: "orchestration",
    submodule: "scheduling",
    paper: "Modular RAG, operator 35; Self-RAG (Asai et al. 2023)",
    summary: "Scores a segment by what judges say of it.",
  },
  config: z.strictObject({
    relevance: z.number().nonnegative().default(1),
    support: z.number().nonnegative().default(1),
    usefulness: z.number().nonnegative().default(0.5),
  }),
  ports: {
    input: {
      text,
      tokens: tokens.optional(),
      done: flag.optional(),
      /** Of "relevant" and others. */
      relevance: chances.optional(),
      /** Of "fully", "partially" and others. */
      support: chances.optional(),
      /** Of "1" to "5". */
      usefulness: chances.optional(),
    },
    output: { candidate: z.object({ text: z.string(), score: z.number(), finished: z.boolean() }), score: number },
  },
  effects: "none",
  setup:
    (weights) =>
    ({ text, tokens = [], done = false, relevance, support, usefulness }) => {
      if (text === "") return { candidate: { text, score: 0, finished: true }, score: 0 };
      const mean = tokens.reduce((sum, { logprob }) => sum + logprob, 0) / tokens.length;
      const score =
        (tokens.length === 0 ? 0 : Math.exp(mean)) +
        weights.relevance * expectation(relevance, { relevant: 1 }) +
        weights.support * expectation(support, { fully: 1, partially: 0.5 }) +
        weights.usefulness * expectation(usefulness, values);
      return { candidate: { text, score, finished: done }, score };
    },
});
