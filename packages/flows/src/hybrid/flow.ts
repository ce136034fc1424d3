import { flow, named } from "@tessera/core";
import { weighted } from "@tessera/fuser";
import { extract } from "@tessera/generator";
import { dense, sparse } from "@tessera/retriever";

/**
 * Hybrid: retrieve by words and by vectors at the same time, fuse both rankings by their scores, each from its least to
 * its best, and answer without a model. Modular RAG, operators 17 and 38.
 */
export const hybrid = flow("hybrid", { query: "text" }, (f, { query }) => {
  const words = f.node("sparse", sparse({ store: "sparse", top: 50 }), { query });
  const near = f.node("dense", dense({ store: "dense", encoder: "encoder", top: 50 }), { query });
  const fused = f.node("fuse", weighted({ top: 20 }), { lists: named({ words: words.hits, vectors: near.hits }) });
  const written = f.node("answer", extract(), { query, hits: fused.hits });
  return { answer: written.answer, text: written.text, hits: fused.hits };
});
