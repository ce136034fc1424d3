// public: recall
import { number, operator } from "@tessera/core";
import { z } from "zod";
import { openDense } from "../spaces.js";
import { adapt, adapter } from "./adapter.js";
import { encodeOnce } from "./settings.js";

/** A question with the text of the passage that answers it; records for `retriever.supervise` are such. */
const pair = z.object({ query: z.string(), positive: z.string() });

/**
 * Recall of a dense search: the share of questions whose passage is among the first `top`, with an adapter or without
 * one, so that a flow that learns can say what it was good for. A passage is known by its text, with or without its
 * title on a line before. Ask questions that were not learnt from. `recall` of no question is 0.
 * @throws TesseraError SPACE_MISMATCH at set-up, where the store's space may not be searched with such queries, and where
 * the adapter was made for another encoder.
 */
export const recall = operator({
  name: "retriever.recall",
  version: 1,
  about: {
    module: "retrieval",
    submodule: "retriever fine-tuning",
    paper: "Modular RAG, section V",
    summary: "Measures how often a dense search finds the passage of a question, with an adapter or without.",
  },
  config: z.strictObject({ store: z.string(), encoder: z.string(), top: z.int().positive().default(5) }),
  ports: { input: { pairs: z.array(pair), adapter: adapter.optional() }, output: { recall: number } },
  async setup({ top, ...settings }, host) {
    const { store, encoder } = await openDense(settings, host);
    return async ({ pairs, adapter }, { signal, principal }) => {
      const queryOf = await encodeOnce(
        encoder,
        pairs.map(({ query }) => query),
        "query",
        signal,
      );
      let found = 0;
      for (const { query, positive } of pairs) {
        const vector = adapter ? adapt(adapter, queryOf(query), encoder.space({})) : queryOf(query);
        const hits = await store.search({ vector, top, principal }, signal);
        if (hits.some(({ passage: { title, text } }) => positive === text || positive === `${title}\n${text}`)) found++;
      }
      return { recall: found / (pairs.length || 1) };
    };
  },
});
