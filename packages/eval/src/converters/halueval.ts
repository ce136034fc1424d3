import { join } from "node:path";
import { z } from "zod";
import { parsePublished, readPublished, shaped } from "../converter.js";

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
export async function readHaluEval(folder: string): Promise<HallucinationPair[]> {
  const path = join(folder, file);
  const lines = (await readPublished(folder, file)).split("\n").filter((line) => line.trim() !== "");
  return lines.map((line, index) => {
    const at = `${path}:${index + 1}`;
    const { knowledge, question, right_answer, hallucinated_answer } = shaped(record, parsePublished(line, at), at);
    return { question, knowledge, right: right_answer, hallucinated: hallucinated_answer };
  });
}
