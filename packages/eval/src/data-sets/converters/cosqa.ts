import { z } from "zod";
import { type Converter, ofJson, shaped } from "../converter.js";

const code = z.record(z.string(), z.int());
const questions = z.array(z.object({ idx: z.string(), doc: z.string(), retrieval_idx: z.int() }));
const files = ["cosqa/code_idx_map.json", "cosqa/dev-500.json"] as const;

/** CoSQA (Huang et al. 2021): web queries to Python functions, whose docstrings are kept. */
export const cosqa: Converter = {
  name: "cosqa",
  about: "CoSQA: what people ask a search engine, answered by one Python function each",
  read: ofJson(files, ([functions, asked]) => ({
    passages: Object.entries(shaped(code, functions, files[0])).map(([text, id]) => ({
      id: `${id}`,
      text,
      metadata: { language: "python" },
    })),
    questions: shaped(questions, asked, files[1]).map(({ idx, doc, retrieval_idx }) => ({
      id: idx,
      question: doc,
      gold: [`${retrieval_idx}`],
    })),
  })),
};
