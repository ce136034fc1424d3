// public: multiVector
import { filter, hits, operator, rank, text } from "@tessera/core";
import { mergeHits } from "@tessera/core/internal";
import { z } from "zod";
import { both } from "./filters.js";
import { openDense } from "./spaces.js";

/** Where one of the vectors of a text is searched: a store, and the encoder (its exit, its width) that reads the query. */
const head = z.strictObject({
  store: z.string(),
  encoder: z.string(),
  exit: z.int().nonnegative().optional(),
  width: z.int().positive().optional(),
  /** The importance s_i of the head; `headImportance` gives the paper's. */
  weight: z.number().positive().default(1),
});

/**
 * Searches several vectors of one query, each in its own space, and lets the heads vote: the passage at place p (from 0)
 * of head i's list gets s_i · 2^(−p), and its votes are summed (Multi-Head RAG). `depth` passages of each head vote. All
 * heads are searched at the same time; a hit keeps the ranks and scores that each head gave it.
 * @throws TesseraError SPACE_MISMATCH at set-up, where a store's space may not be searched with its head's queries.
 */
export const multiVector = operator({
  name: "retriever.multi-vector",
  version: 1,
  about: {
    module: "retrieval",
    submodule: "retriever selection",
    paper: "Multi-Head RAG (Besta et al. 2024), algorithm 2; Modular RAG, section VI",
    summary: "Retrieves passages by several vectors of a query, whose lists vote.",
  },
  config: z.strictObject({
    heads: z.array(head).min(1),
    top: z.int().positive().default(10),
    depth: z.int().positive().default(50),
    filter: filter.optional(),
  }),
  ports: { input: { query: text, filter: filter.optional() }, output: { hits } },
  setup: async ({ heads, top, depth, filter: fixed }, host) => {
    const searches = await Promise.all(heads.map((head) => openDense(head, host)));
    return async ({ query, filter: asked }, { signal, principal }) => {
      const admitted = both(fixed, asked);
      const lists = await Promise.all(
        searches.map(async ({ store, encode }) =>
          store.search({ vector: await encode(query, signal), top: depth, filter: admitted, principal }, signal),
        ),
      );
      const votes = new Map<string, number>();
      for (const [index, list] of lists.entries())
        for (const [place, { passage }] of list.entries())
          votes.set(passage.id, (votes.get(passage.id) ?? 0) + heads[index]!.weight * 2 ** -place);
      const scored = mergeHits(lists).map((hit) => ({ hit, score: votes.get(hit.passage.id)! }));
      return { hits: rank("retriever.multi-vector", scored, top) };
    };
  },
});
