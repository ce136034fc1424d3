import { z } from "zod";
import { type Converter, readPublishedLines } from "../converter.js";

const problem = z.object({
  task_id: z.string().min(1),
  prompt: z.string(),
  entry_point: z.string(),
  test: z.string(),
  description: z.string().min(1),
  language: z.enum(["javascript", "typescript"]),
  canonical_solution: z.string().nullish(),
});
const solution = z.object({ task_id: z.string(), completion: z.string() });

/**
 * MBXP (Athiwaratkun et al. 2022), JavaScript and TypeScript: the corpus is the published solutions, the question what
 * one is to do, which does not say the language: gold are the solutions in both. A problem without a solution has the
 * completion of another file.
 */
export const mbxp: Converter = {
  name: "mbxp",
  about: "MBXP: what a function is to do, answered by its code in JavaScript or TypeScript",
  read: async (folder) => {
    const others = new Map(
      (await readPublishedLines(folder, "mbxp/mbjsp_solutions.jsonl", solution)).map((one) => [
        one.task_id,
        one.completion,
      ]),
    );
    const problems = [
      ...(await readPublishedLines(folder, "mbxp/mbjsp.jsonl", problem)),
      ...(await readPublishedLines(folder, "mbxp/mbtsp.jsonl", problem)),
    ].map((one) => ({ ...one, body: one.canonical_solution || others.get(one.task_id) }));
    const solved = problems.filter(({ body }) => body);
    return {
      passages: solved.map(({ task_id, prompt, body, language }) => ({
        id: task_id,
        // the comment before the function repeats the question
        text: prompt.replace(/^\/\*\*[\s\S]*?\*\/\n/, "") + body,
        metadata: { language },
      })),
      questions: problems.map(({ task_id, description, prompt, test, entry_point, language }) => ({
        id: task_id,
        question: description,
        gold: solved.filter((other) => other.description === description).map((other) => other.task_id),
        metadata: { language, prompt, test, entry_point },
      })),
    };
  },
};
