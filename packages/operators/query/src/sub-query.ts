// public: subQuery
// internal: referencesIn
import { boundOf, declarePrompt, flag, operator, text } from "@tessera/core";
import { asking } from "@tessera/core/internal";
import { z } from "zod";
import { readList } from "./lines.js";
import { questioner } from "./question.js";

/** The numbers of the earlier sub-questions whose answers a sub-question needs, as in "Who married #1?". */
export const referencesIn = (question: string): number[] => [
  ...new Set([...question.matchAll(/#(\d{1,3})(?!\d)/g)].map(([, digits]) => Number(digits))),
];

const asked = declarePrompt({
  name: "query.sub-query",
  version: "1",
  text: 'You split a question into the simple questions that lead to its answer, {count} at most, one on a line, numbered, in the order in which they are to be answered. Where one needs the answer of an earlier one, write # and its number in place of that answer, as in "2. Who is married to #1?". If the question is simple already, repeat it. Write nothing else.',
});

/**
 * Least-to-most decomposition: sub-questions in the order in which they are to be answered. "#1" in one of them stands
 * for the answer of the first (MuSiQue's notation); `dependent` says whether there is any, `router.plan` answers such
 * ones in turn and the others at once. An answer that is no plan, or refers to what does not come before, gives the
 * original question alone.
 */
export const subQuery = operator({
  name: "query.sub-query",
  version: 2,
  about: {
    module: "pre-retrieval",
    submodule: "query expansion",
    paper: "Modular RAG, operator 7, equation 7; Zhou et al. 2022 (least-to-most)",
    summary: "Splits a question into sub-questions.",
  },
  config: z.strictObject({ ...asking, count: z.int().min(1).max(20).default(5) }),
  ports: { input: { query: text }, output: { queries: z.array(text), dependent: flag } },
  prompts: [asked],
  bound: (config) => boundOf(config, 1, 1),
  setup: async (config, host) => {
    const question = await questioner(asked, config, host);
    const { count } = config;
    return async ({ query }, context) => {
      const answer = await question({ query, words: { count } }, context);
      const plan = readList(answer.text).slice(0, count);
      const sound = plan.every((part, index) => referencesIn(part).every((to) => to >= 1 && to <= index));
      if (plan.length === 0 || !sound) return { queries: [query], dependent: false };
      return { queries: plan, dependent: plan.some((part) => referencesIn(part).length > 0) };
    };
  },
});
