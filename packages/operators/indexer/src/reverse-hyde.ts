// public: reverseHyde
import {
  ask,
  boundOf,
  declarePrompt,
  fence,
  fenceRule,
  type LanguageModel,
  openPrompt,
  operator,
  type Passage,
  passage,
  passages,
} from "@tessera/core";
import { asking, clip } from "@tessera/core/internal";
import { z } from "zod";

const numbered = /^\s*(?:[-*•]|\(?\d{1,3}[.):])\s+/;

/** The questions in a model's answer: a line each, where any are numbered those alone, and no question twice. */
function questionsIn(answer: string): string[] {
  const lines = answer.split(/\r?\n/).filter((line) => /\p{L}/u.test(line));
  const marked = lines.filter((line) => numbered.test(line));
  const questions = (marked.length > 0 ? marked : lines.filter((line) => /[?？]\s*$/.test(line)))
    .map((line) => line.replace(numbered, "").trim())
    .filter((question) => question.length <= 1000);
  return questions.filter(
    (question, index) => questions.findIndex((other) => other.toLowerCase() === question.toLowerCase()) === index,
  );
}

const asked = declarePrompt({
  name: "indexer.reverse-hyde",
  version: "1",
  text: "Write {count} questions that the passage answers and that somebody who does not know the passage might ask, in its language. One on a line, numbered, and nothing else.",
});

/**
 * Reverse HyDE: a language model writes questions that a passage answers. They are indexed in its place, so that a
 * question is compared with questions; each has the passage as its parent, and `indexer.expand` swaps the hits for their
 * passages, each once. Run it with `each` over the passages. Where the model writes no question there is none.
 */
export const reverseHyde = operator({
  name: "indexer.reverse-hyde",
  version: 2,
  about: {
    module: "indexing",
    submodule: "chunk optimisation",
    paper: "Modular RAG, operator 11 (there under query transformation)",
    summary: "Writes the questions that a passage answers, to be searched in its place.",
  },
  config: z.strictObject({
    ...asking,
    count: z.int().min(1).max(20).default(3),
    temperature: z.number().min(0).max(2).default(0.7),
  }),
  ports: { input: { passage }, output: { questions: passages } },
  prompts: [asked],
  bound: (config) => boundOf(config, 1, 1),
  async setup({ model: name, maxTokens, characters, count, temperature }, host) {
    const instructions = await openPrompt(host, asked);
    const model = await host.resource<LanguageModel>("model", name);
    return async ({ passage: about }, context) => {
      const quoted = fence([{ ...about, text: clip(about.text, characters) }]);
      const answer = await ask(
        model,
        {
          messages: [
            {
              role: "system",
              content: `${instructions({ count })} ${fenceRule}`,
            },
            { role: "user", content: quoted },
          ],
          maxTokens,
          temperature,
        },
        context,
      );
      return {
        questions: questionsIn(answer.text)
          .slice(0, count)
          .map(
            (question, index): Passage => ({
              ...about,
              id: `${about.id}/q${index}`,
              text: question,
              parent: about.id,
              metadata: { ...about.metadata, question: index },
            }),
          ),
      };
    };
  },
});
