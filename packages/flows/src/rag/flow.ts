import { flow, named } from "@tessera/core";
import { weighted } from "@tessera/fuser";
import { answer } from "@tessera/generator";
import { dense, sparse } from "@tessera/retriever";

/**
 * Retrieve, then let a model answer: passages are found by words and by vectors at the same time, both rankings are
 * fused, and a model answers in prose from the best of them with a citation after each statement, or says that they hold
 * no answer. Lewis et al. 2020 with retrieval that is not trained; Modular RAG, equation 4 and operators 17 and 38.
 */
export const rag = flow("rag", { query: "text" }, (f, { query }) => {
  const words = f.node("sparse", sparse({ store: "sparse", top: 50 }), { query });
  const near = f.node("dense", dense({ store: "dense", encoder: "encoder", top: 50 }), { query });
  const fused = f.node("fuse", weighted({ top: 20 }), { lists: named({ words: words.hits, vectors: near.hits }) });
  const written = f.node("answer", answer({ model: "model" }), { query, hits: fused.hits });
  return { answer: written.answer, text: written.text, hits: fused.hits };
});
