import { z } from "zod";
import { type Converter, ofJson, shaped } from "../converter.js";

const question = z.object({ id: z.string(), question: z.string(), answers: z.array(z.object({ text: z.string() })) });
const articles = z.object({
  data: z.array(
    z.object({
      title: z.string(),
      paragraphs: z.array(z.object({ context: z.string(), qas: z.array(question) })),
    }),
  ),
});
const files = ["xquad/xquad.en.json"] as const;

/** The English part of XQuAD (Artetxe et al. 2020): SQuAD's questions, each about one paragraph. */
export const xquad: Converter = {
  name: "xquad",
  about: "XQuAD, English: questions about a paragraph, answered by a stretch of it",
  read: ofJson(files, ([content]) => {
    const paragraphs = shaped(articles, content, files[0]).data.flatMap(({ title, paragraphs }) =>
      paragraphs.map((paragraph) => ({ title, ...paragraph })),
    );
    return {
      passages: paragraphs.map(({ title, context }, index) => ({
        id: `${index}`,
        title: title.replaceAll("_", " "),
        text: context,
        metadata: {},
      })),
      questions: paragraphs.flatMap(({ qas }, index) =>
        qas.map(({ id, question, answers }) => ({
          id,
          question,
          answers: [...new Set(answers.map(({ text }) => text))],
          gold: [`${index}`],
        })),
      ),
    };
  }),
};
