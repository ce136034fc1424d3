import { z } from "zod";
import { type Converter, ofJson, shaped } from "../converter.js";

const corpus = z.array(z.object({ id: z.int(), title: z.string(), text: z.string() }));
const questions = z.array(z.object({ id: z.int(), question: z.string(), answers: z.array(z.string()), gold: z.int() }));
const files = ["nq/corpus.json", "nq/dev.json"] as const;

/** Natural Questions (Kwiatkowski et al. 2019), one gold passage a question. */
export const nq: Converter = {
  name: "nq",
  about: "Natural Questions: what people ask a search engine, one gold passage of Wikipedia each",
  read: ofJson(files, ([passages, asked]) => ({
    passages: shaped(corpus, passages, files[0]).map(({ id, title, text }) => ({
      id: `${id}`,
      title,
      text,
      metadata: {},
    })),
    questions: shaped(questions, asked, files[1]).map(({ id, question, answers, gold }) => ({
      id: `${id}`,
      question,
      answers,
      gold: [`${gold}`],
    })),
  })),
};
