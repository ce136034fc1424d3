import { z } from "zod";
import { type Converter, idsOf, readPublishedLines } from "../converter.js";

const splits = [
  ...["NONE", "LENGTH_GENERALIZATION", "COMPOSE_DIFFERENT_CONCEPTS"],
  ...["SWITCH_CONCEPT_ORDER", "COMPOSE_NEW_OP", "ADD_OP_FUNCTIONALITY"],
];
const record = z
  .object({ inputs: z.array(z.string()).min(1), outputs: z.array(z.string()), program: z.string().min(1) })
  .refine(({ inputs, outputs }) => inputs.length === outputs.length, "every input has an output");

/** Programs over lists of numbers in the language of DeepCoder (Shi et al. 2023, ExeDec), asked for by examples. */
export const listPrograms: Converter = {
  name: "listprograms",
  about: "List programs: examples of inputs and outputs, answered by the program that they are of",
  read: async (folder) => {
    const tasks = [];
    for (const split of splits)
      for (const [index, task] of (await readPublishedLines(folder, `listprograms/${split}.jsonl`, record)).entries())
        tasks.push({ ...task, id: `${split}/${index}`, split });
    const ids = idsOf(tasks.map(({ program }) => program));
    return {
      passages: [...ids].map(([text, id]) => ({ id, text, metadata: {} })),
      questions: tasks.map(({ id, inputs, outputs, program, split }) => ({
        id,
        question: inputs.map((input, index) => `${input} gives ${outputs[index]}`).join("\n"),
        answers: [program],
        gold: [ids.get(program)!],
        metadata: { split },
      })),
    };
  },
};
