// public: sparse
import { filter, hits, operator, type Store, text } from "@tessera/core";
import { z } from "zod";
import { both } from "./filters.js";

/**
 * Searches a full text store by the words of the query (BM25 in `Bm25Store`). Only passages that the principal may see
 * and that meet both filters, the setting and the port, are counted among the best `top`.
 */
export const sparse = operator({
  name: "retriever.sparse",
  version: 1,
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
  }),
  ports: { input: { query: text, filter: filter.optional() }, output: { hits } },
  setup: async ({ store: name, top, filter: fixed }, host) => {
    const store = await host.resource<Store>("store", name);
    return async ({ query, filter: asked }, { signal, principal }) => ({
      hits: await store.search({ text: query, top, filter: both(fixed, asked), principal }, signal),
    });
  },
});
