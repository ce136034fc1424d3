// public: graphWalk
import { type Hit, hits, operator, type Passage, rank, text } from "@tessera/core";
import { z } from "zod";
import type { KnowledgeGraph } from "./knowledge-graph.js";

const name = "indexer.graph-walk";

/** The weights of the best hits, by passage; they sum to `sum`. Scores of any scale are taken from the last one up. */
function weightsOf(found: readonly Hit[], sum: number): Map<string, number> {
  const floor = Math.min(0, ...found.map(({ score }) => score));
  const total = found.reduce((all, { score }) => all + score - floor, 0);
  if (!(total > 0)) return new Map();
  return new Map(found.map(({ passage, score }) => [passage.id, (sum * (score - floor)) / total]));
}

/**
 * Retrieves over a knowledge graph: personalised PageRank that begins at the entities the query names and at the passages
 * another search found, and so reaches passages that share no word with the query. Where the query names no entity and
 * nothing was found, nothing is; feed its list and the other one to a fuser to keep both.
 */
export const graphWalk = operator({
  name,
  version: 1,
  about: {
    module: "retrieval",
    submodule: "knowledge-graph search",
    paper: "Modular RAG, operator 5; HippoRAG, arXiv 2405.14831, section 2.3",
    summary: "Walks a knowledge graph from what the query names and what a search found.",
  },
  config: z.strictObject({
    /** The name of a "graph" resource: a `KnowledgeGraph`. */
    graph: z.string().min(1),
    /** The share of each step that goes on instead of back to the beginning. */
    damping: z.number().min(0).max(0.99).default(0.85),
    /** How many of the hits to begin at. */
    seeds: z.int().min(0).default(20),
    /** The weight of all those hits together; that of all named entities is 1. */
    weight: z.number().min(0).default(0.25),
    top: z.int().positive().default(10),
  }),
  ports: { input: { query: text, hits: hits.optional() }, output: { hits } },
  async setup({ graph: resource, damping, seeds, weight, top }, host) {
    const graph = await host.resource<KnowledgeGraph>("graph", resource);
    return ({ query, hits: found = [] }, { signal, principal }) => {
      signal.throwIfAborted();
      const named = graph.named(query, principal);
      const total = [...named.values()].reduce((sum, value) => sum + value, 0);
      const entities = new Map([...named].map(([entity, value]) => [entity, value / total]));
      const passages = weightsOf(found.slice(0, seeds), weight);
      const known = new Map<string, Hit>(found.map((hit: Hit) => [hit.passage.id, hit]));
      const scored = graph.walk({ passages, entities, damping, principal }).map(({ passage, score }) => ({
        hit: { passage: passage as Passage, score, provenance: known.get(passage.id)?.provenance ?? [] },
        score,
      }));
      return { hits: rank(name, scored, top) };
    };
  },
});
