import { flow } from "@tessera/core";
import { hitsUnion } from "@tessera/data";
import { answer } from "@tessera/generator";
import { rewrite } from "@tessera/query";
import { sparse } from "@tessera/retriever";

/**
 * Rewrite, retrieve, read: a model turns the question into search queries, and the answer is written to the question as
 * it was asked. Ma et al. 2023 (RRR) with a prompted rewriter in place of the trained one; Modular RAG, algorithm 1.
 */
export const rrr = flow("rrr", { query: "text" }, (f, { query }) => {
  const { queries } = f.node("rewrite", rewrite({ model: "model", count: 3 }), { query });
  const found = f.each("retrieve", sparse({ store: "sparse", top: 5 }), { over: "query", max: 3 }, { query: queries });
  const { hits } = f.node("unite", hitsUnion({ order: "interleaved", top: 10 }), { lists: found.hits });
  const read = f.node("read", answer({ model: "model" }), { query, hits });
  return { answer: read.answer, text: read.text, queries, hits };
});
