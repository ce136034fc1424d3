// public: adaptive
import { type Filter, filter, type Hit, hits, number, operator, text } from "@tessera/core";
import { z } from "zod";
import { both } from "./filters.js";
import { openDense } from "./spaces.js";

/**
 * Searches with a shallow embedding of the query first, and goes deeper only while the best two hits lie close:
 * it stops at the first exit where score(1) − score(2) ≥ `margin`, or at the last one. The index is one: each exit's
 * queries must be permitted to search its space (queries from shallow exits on a deep index, ModularStarEncoder). The
 * port `depth` is the exit that answered, and so stands in the trace; the layers spent are those of all exits tried.
 * With fewer than two hits there is nothing to confuse, and the first exit answers.
 * @throws TesseraError SPACE_MISMATCH at set-up, where queries of some exit may not search the store.
 */
export const adaptive = operator({
  name: "retriever.adaptive",
  version: 1,
  about: {
    module: "retrieval",
    submodule: "retriever selection",
    paper: "Modular RAG, operator 16; ModularStarEncoder (arXiv 2503.03008); early exit by margin",
    summary: "Retrieves by a shallow vector, and by a deeper one where the best hits are close.",
  },
  config: z.strictObject({
    store: z.string(),
    encoder: z.string(),
    /** Layers, rising. */
    exits: z
      .array(z.int().nonnegative())
      .min(1)
      .refine((exits) => exits.every((exit, i) => i === 0 || exit > exits[i - 1]!), "exits must rise"),
    width: z.int().positive().optional(),
    margin: z.number().nonnegative().default(0.05),
    top: z.int().positive().default(10),
    filter: filter.optional(),
  }),
  ports: { input: { query: text, filter: filter.optional() }, output: { hits, depth: number } },
  bound: ({ exits }) => ({ calls: 0, tokens: 0, layers: exits.reduce((sum, exit) => sum + exit, 0) }),
  setup: async ({ store, encoder, exits, width, margin, top, filter: fixed }, host) => {
    const searches = await Promise.all(
      exits.map(async (exit) => ({ exit, ...(await openDense({ store, encoder, exit, width }, host)) })),
    );
    return async ({ query, filter: asked }, { signal, principal, spend }) => {
      const admitted: Filter | undefined = both(fixed, asked);
      let found: Hit[] = [];
      let depth = 0;
      for (const { exit, store, encode } of searches) {
        const vector = await encode(query, signal);
        spend({ layers: exit });
        // two are needed for a margin, also where one is wanted
        found = await store.search({ vector, top: Math.max(2, top), filter: admitted, principal }, signal);
        depth = exit;
        if (found.length < 2 || found[0]!.score - found[1]!.score >= margin) break;
      }
      return { hits: found.slice(0, top), depth };
    };
  },
});
