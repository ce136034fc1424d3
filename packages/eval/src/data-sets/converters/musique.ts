import { TesseraError } from "@tessera/core";
import { z } from "zod";
import { type Converter, ofJson, shaped } from "../converter.js";

const text = { title: z.string(), text: z.string() };
const corpus = z.array(z.object(text));
const questions = z.array(
  z.object({
    id: z.string(),
    question: z.string(),
    answer: z.string(),
    answer_aliases: z.array(z.string()),
    paragraphs: z.array(z.object({ title: z.string(), paragraph_text: z.string(), is_supporting: z.boolean() })),
    question_decomposition: z.array(z.object({ question: z.string(), answer: z.string() })),
  }),
);
const extraction = z.object({
  docs: z.array(z.object({ ...text, extracted_triples: z.array(z.array(z.unknown())) })),
});
const files = ["musique/corpus.json", "musique/questions.json", "musique/openie.json"] as const;

/** The sub-questions with the gold answers of earlier steps in place of "#1", "#2", … */
const resolved = (steps: readonly { question: string; answer: string }[]): string[] =>
  steps.map(({ question }) => question.replace(/#(\d+)/g, (mark, step) => steps[Number(step) - 1]?.answer ?? mark));

const keyOf = (title: string, content: string): string => `${title}\n${content}`;

/**
 * MuSiQue (Trivedi et al. 2022): questions of two to four hops. Each passage carries the triples that were extracted
 * from it as `metadata.triples`; each question its gold decomposition as `metadata.decomposition`, in which "#1" stands
 * for the answer of the first step, and as `metadata.steps`, in which the gold answers stand themselves. A triple that has not three members is left out.
 */
export const musique: Converter = {
  name: "musique",
  about: "MuSiQue: questions of two to four hops, every gold passage is needed",
  read: ofJson(files, ([passages, asked, extracted]) => {
    const triples = new Map(
      shaped(extraction, extracted, files[2]).docs.map((one) => [
        keyOf(one.title, one.text),
        one.extracted_triples
          .filter((triple) => triple.length === 3)
          .map(([subject, relation, object]) => ({
            subject: `${subject}`,
            relation: `${relation}`,
            object: `${object}`,
          })),
      ]),
    );
    const texts = shaped(corpus, passages, files[0]);
    const ids = new Map(texts.map((one, index) => [keyOf(one.title, one.text), `${index}`]));
    const goldOf = (title: string, content: string, question: string): string => {
      const id = ids.get(keyOf(title, content));
      if (id !== undefined) return id;
      throw new TesseraError("BAD_SOURCE", `the gold passage "${title}" of ${question} is not in the corpus`, {
        path: files[1],
      });
    };
    return {
      passages: texts.map((one, index) => ({
        id: `${index}`,
        title: one.title,
        text: one.text,
        metadata: { triples: triples.get(keyOf(one.title, one.text)) ?? [] },
      })),
      questions: shaped(questions, asked, files[1]).map((one) => ({
        id: one.id,
        question: one.question,
        answers: [one.answer, ...one.answer_aliases],
        gold: one.paragraphs
          .filter((paragraph) => paragraph.is_supporting)
          .map((paragraph) => goldOf(paragraph.title, paragraph.paragraph_text, one.id)),
        metadata: { decomposition: one.question_decomposition, steps: resolved(one.question_decomposition) },
      })),
    };
  }),
};
