// public: descend
import { type Encoder, type Filter, type Hit, hits, number, operator, rank, type Store, text } from "@tessera/core";
import { z } from "zod";
import { storeSettings } from "./write.js";

const name = "indexer.descend";

const childrenOf = ({ passage }: Hit): number =>
  typeof passage.metadata.children === "number" ? passage.metadata.children : 0;

/**
 * Searches a hierarchical index from the top down: of each level the best `beam` nodes are opened, and the passages that
 * hang from opened nodes are the candidates. `visited` counts the nodes and passages that were compared with the query;
 * a flat search compares all. A tree deeper than `levels` is searched no further.
 */
export const descend = operator({
  name,
  version: 1,
  about: {
    module: "retrieval",
    submodule: "hierarchical search",
    paper: "Modular RAG, operator 4",
    summary: "Searches a hierarchical index from its top down.",
  },
  config: z.strictObject({
    ...storeSettings,
    beam: z.int().positive().default(4),
    top: z.int().positive().default(10),
    levels: z.int().positive().default(16),
  }),
  ports: { input: { query: text }, output: { hits, visited: number } },
  async setup({ store: resource, encoder: model, beam, top, levels, ...embedding }, host) {
    const store = await host.resource<Store>("store", resource);
    const encoder = model === undefined ? undefined : await host.resource<Encoder>("encoder", model);
    return async ({ query }, { signal, principal }) => {
      const [vector] = (await encoder?.encode([query], { ...embedding, kind: "query" }, signal)) ?? [];
      const search = (filter: Filter, count: number) =>
        store.search({ text: query, vector, top: count, filter, principal }, signal);
      const inner: Filter = { field: "children", least: 1 };
      const found = new Map<string, Hit>();
      let open = await search({ all: [inner, { field: "level", equals: 0 }] }, beam);
      let visited = open.length;
      for (let level = 0; level < levels && open.length > 0; level++) {
        signal.throwIfAborted();
        visited += open.reduce((sum, node) => sum + childrenOf(node), 0);
        const under: Filter = { field: "parent", in: open.map(({ passage }) => passage.id) };
        const [leaves, nodes] = await Promise.all([
          search({ all: [under, { not: inner }] }, top),
          search({ all: [under, inner] }, beam),
        ]);
        for (const leaf of leaves) found.set(leaf.passage.id, leaf);
        open = nodes;
      }
      return {
        hits: rank(
          name,
          [...found.values()].map((hit) => ({ hit, score: hit.score })),
          top,
        ),
        visited,
      };
    };
  },
});
