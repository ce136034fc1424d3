import { z } from "zod";
import { type Converter, idsOf, readPublishedLines } from "../converter.js";

/** A question with what is known, the right answer, and one that was made up to look right. */
export interface HallucinationPair {
  readonly question: string;
  readonly knowledge: string;
  readonly right: string;
  readonly hallucinated: string;
}

const file = "halueval/qa.json";
const record = z.object({
  knowledge: z.string().min(1),
  question: z.string().min(1),
  right_answer: z.string().min(1),
  hallucinated_answer: z.string().min(1),
});

/** HaluEval, question answering (Li et al. 2023). @throws TesseraError BAD_SOURCE where it is missing or shaped otherwise. */
export const readHaluEval = async (folder: string): Promise<HallucinationPair[]> =>
  (await readPublishedLines(folder, file, record)).map(
    ({ question, knowledge, right_answer: right, hallucinated_answer: hallucinated }) => ({
      ...{ question, knowledge, right, hallucinated },
    }),
  );

/** HaluEval: what is known is the corpus; the answer that was made up is `metadata.hallucinated`. */
export const halueval: Converter = {
  name: "halueval",
  about: "HaluEval: questions with what is known, the right answer, and one that was made up",
  read: async (folder) => {
    const pairs = await readHaluEval(folder);
    const ids = idsOf(pairs.map(({ knowledge }) => knowledge));
    return {
      passages: [...ids].map(([text, id]) => ({ id, text, metadata: {} })),
      questions: pairs.map(({ question, knowledge, right, hallucinated }, index) => ({
        id: `${index}`,
        question,
        answers: [right],
        gold: [ids.get(knowledge)!],
        metadata: { hallucinated },
      })),
    };
  },
};
