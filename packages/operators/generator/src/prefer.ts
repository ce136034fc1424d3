// public: prefer
import { answer, hits, number, operator, text } from "@tessera/core";
import { z } from "zod";
import { messagesOf } from "./prompt.js";
import { exporting, firstOf, records, splitOf, targetOf } from "./tuning.js";

/**
 * Records for preference tuning (RL from feedback, DPO): the best answer by its judge's score against each that is worse
 * by `margin` at least, as `{ prompt, chosen, rejected, chosenScore, rejectedScore, margin }`. Equal texts make no pair.
 */
export const prefer = operator({
  name: "generator.prefer",
  version: 1,
  about: {
    module: "generation",
    submodule: "generator fine-tuning",
    paper: "Modular RAG, operator 27",
    summary: "Makes preference pairs of judged answers.",
  },
  config: z.strictObject({ ...exporting, margin: z.number().positive().default(0.1) }),
  ports: { input: { query: text, hits, answers: z.array(answer), scores: z.array(number) }, output: { records } },
  effects: "none",
  setup:
    ({ test, passages, margin: least }) =>
    ({ query, hits, answers, scores }) => {
      const judged = answers
        .slice(0, scores.length)
        .map((candidate, index) => ({ text: targetOf(candidate), score: scores[index]! }))
        .sort((a, b) => b.score - a.score);
      const [best, ...rest] = judged;
      const prompt = messagesOf(firstOf(hits, passages), { query }, "");
      return {
        records: rest
          .filter(({ text, score }) => best!.score - score >= least && text !== best!.text)
          .map(({ text, score }) => ({
            split: splitOf(query, test),
            query,
            prompt,
            chosen: [{ role: "assistant", content: best!.text }],
            rejected: [{ role: "assistant", content: text }],
            chosenScore: best!.score,
            rejectedScore: score,
            margin: best!.score - score,
          })),
      };
    },
});
