import { z } from "zod";
import { type Converter, idsOf, ofJson, shaped } from "../converter.js";

const questions = z.array(
  z.object({
    qid: z.string(),
    term: z.string(),
    question: z.string(),
    answer: z.boolean(),
    facts: z.array(z.string()),
    decomposition: z.array(z.string()),
  }),
);
const files = ["strategyqa/train.json"] as const;

/**
 * StrategyQA (Geva et al. 2021): yes or no, by steps that the question does not name. The corpus is the facts that its
 * annotators wrote, each different one once: far easier to search than the Wikipedia that they come from.
 */
export const strategyqa: Converter = {
  name: "strategyqa",
  about: "StrategyQA: yes or no, by steps that the question does not name; the corpus is the annotators' facts",
  read: ofJson(files, ([content]) => {
    const asked = shaped(questions, content, files[0]);
    const ids = idsOf(asked.flatMap(({ facts }) => facts));
    return {
      passages: [...ids].map(([text, id]) => ({ id, text, metadata: {} })),
      questions: asked.map(({ qid, question, answer, facts, decomposition }) => ({
        id: qid,
        question,
        answers: [answer ? "yes" : "no"],
        gold: [...new Set(facts.map((fact) => ids.get(fact)!))],
        metadata: { decomposition },
      })),
    };
  }),
};
