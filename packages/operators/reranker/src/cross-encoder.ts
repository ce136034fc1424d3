// public: crossEncoder
import { hits, operator, type Reranker, rank, text } from "@tessera/core";
import { z } from "zod";

/**
 * Orders hits by a model that reads the query and each passage together (monoBERT, Nogueira and Cho 2019): a reranker
 * resource, such as a rerank endpoint. The score is the model's own. The first `depth` hits are scored in one call; those
 * behind them follow in their order, with scores below.
 */
export const crossEncoder = operator({
  name: "reranker.cross-encoder",
  version: 1,
  about: {
    module: "post-retrieval",
    submodule: "rerank",
    paper: "Modular RAG, operator 22, equation 12; monoBERT (arXiv 1901.04085)",
    summary: "Reranks by a model that reads question and passage together.",
  },
  config: z.strictObject({
    /** The reranker resource. */
    reranker: z.string().min(1),
    depth: z.int().positive().default(50),
  }),
  ports: { input: { query: text, hits }, output: { hits } },
  setup: async ({ reranker: name, depth }, host) => {
    const reranker = await host.resource<Reranker>("reranker", name);
    return async ({ query, hits: found }, { signal }) => {
      if (found.length === 0) return { hits: [] };
      const first = found.slice(0, depth);
      const scores = await reranker.rank(
        query,
        first.map(({ passage }) => passage.text),
        signal,
      );
      const scored = first.map((hit, index) => ({ hit, score: scores[index]! }));
      const least = Math.min(...scores);
      const behind = found.slice(depth).map((hit, index) => ({ hit, score: least - 1 - index }));
      return { hits: rank("reranker.cross-encoder", [...scored, ...behind]) };
    };
  },
});
