// public: sparse
import { filter, hits, operator, type Store, text } from "@tessera/core";
import { z } from "zod";
import { both } from "./filters.js";
import { holdBack } from "./held-back.js";

/**
 * Searches a full text store by the words of the query (BM25 in `Bm25Store`). Only passages that the principal may see
 * and that meet both filters, the setting and the port, are counted among the best `top`.
 */
export const sparse = operator({
  name: "retriever.sparse",
  version: 2,
  about: {
    module: "retrieval",
    submodule: "retriever selection",
    paper: "Modular RAG, operator 15",
    summary: "Retrieves passages by the words of a query.",
  },
  config: z.strictObject({
    store: z.string(),
    top: z.int().positive().default(10),
    filter: filter.optional(),
    /** What scores of files that others or programs wrote, and of tests, count; 1 for as much as others. */
    heldBack: z.number().min(0).max(1).default(0.7),
  }),
  ports: { input: { query: text, filter: filter.optional() }, output: { hits } },
  setup: async ({ store: name, top, filter: fixed, heldBack }, host) => {
    const store = await host.resource<Store>("store", name);
    return async ({ query, filter: asked }, { signal, principal }) => {
      const found = await store.search({ text: query, top, filter: both(fixed, asked), principal }, signal);
      return { hits: holdBack(found, query, heldBack) };
    };
  },
});
