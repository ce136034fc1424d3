// public: instruct
import { answer, hits, operator, text } from "@tessera/core";
import { z } from "zod";
import { chatOf, exporting, firstOf, records, splitOf, targetOf } from "./tuning.js";

/**
 * A record for instruction tuning or distillation: `{ messages, split, query, passages, teacher? }`, `messages` the chat
 * in the form of OpenAI's fine-tuning files. With `teacher` it is a record of distillation, and only an answer that
 * cites is worth learning from, or a refusal: others give no record.
 */
export const instruct = operator({
  name: "generator.instruct",
  version: 1,
  about: {
    module: "generation",
    submodule: "generator fine-tuning",
    paper: "Modular RAG, operator 26 and the distillation of section V",
    summary: "Makes an instruction tuning record of an answer.",
  },
  config: z.strictObject({
    ...exporting,
    /** The name of the model whose answers a smaller one is to learn. */
    teacher: z.string().optional(),
  }),
  ports: { input: { query: text, hits, answer }, output: { records } },
  effects: "none",
  setup:
    ({ test, passages: count, teacher }) =>
    ({ query, hits, answer }) => {
      const passages = firstOf(hits, count);
      const known = new Set(passages.map(({ id }) => id));
      const grounded = answer.citations.some(({ passage }) => known.has(passage));
      if (teacher !== undefined && !answer.refused && !grounded) return { records: [] };
      const record = {
        split: splitOf(query, test),
        query,
        passages: passages.map(({ id }) => id),
        ...(teacher !== undefined && { teacher }),
        messages: chatOf(query, passages, targetOf(answer)),
      };
      return { records: [record] };
    },
});
