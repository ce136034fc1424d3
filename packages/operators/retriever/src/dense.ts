// public: dense
import { filter, hits, number, operator, text } from "@tessera/core";
import { z } from "zod";
import { both } from "./filters.js";
import { holdBack } from "./held-back.js";
import { openDense } from "./spaces.js";

/**
 * Searches a vector store with the embedding of the query. Which of the encoder's embeddings is used (the layer `exit`,
 * the first `width` components) is left to the encoder where it is not set; passages may be embedded by another exit,
 * where the encoder says that both share a space. A given `vector` (HyDE's mean, say) is searched in place of the query's.
 * @throws TesseraError SPACE_MISMATCH at set-up, where the store's space may not be searched with such queries.
 */
export const dense = operator({
  name: "retriever.dense",
  version: 2,
  about: {
    module: "retrieval",
    submodule: "retriever selection",
    paper: "Modular RAG, operator 16, equations 1-3",
    summary: "Retrieves passages by the vector of a query.",
  },
  config: z.strictObject({
    store: z.string(),
    encoder: z.string(),
    exit: z.int().nonnegative().optional(),
    width: z.int().positive().optional(),
    top: z.int().positive().default(10),
    filter: filter.optional(),
    /** What scores of files that others or programs wrote, and of tests, count; 1 for as much as others. */
    heldBack: z.number().min(0).max(1).default(0.9),
  }),
  ports: {
    input: { query: text, vector: z.array(number).optional(), filter: filter.optional() },
    output: { hits },
  },
  setup: async ({ top, filter: fixed, heldBack, ...settings }, host) => {
    const { store, encode } = await openDense(settings, host);
    return async ({ query, vector: given, filter: asked }, { signal, principal }) => {
      const vector = given ? Float32Array.from(given) : await encode(query, signal);
      const found = await store.search({ vector, top, filter: both(fixed, asked), principal }, signal);
      return { hits: holdBack(found, query, heldBack) };
    };
  },
});
