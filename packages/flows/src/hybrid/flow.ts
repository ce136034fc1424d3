import { flow } from "@tessera/core";
import { rrf } from "@tessera/fuser";
import { extract } from "@tessera/generator";
import { dense, sparse } from "@tessera/retriever";

/**
 * Hybrid: retrieve by words and by vectors at the same time, fuse both rankings by rank, and answer without a model.
 * Modular RAG, operators 17 and 39.
 */
export const hybrid = flow("hybrid", { query: "text" }, (f, { query }) => {
  const words = f.node("sparse", sparse({ store: "sparse", top: 50 }), { query });
  const near = f.node("dense", dense({ store: "dense", encoder: "encoder", top: 50 }), { query });
  const fused = f.node("fuse", rrf({ top: 20 }), { lists: [words.hits, near.hits] });
  const written = f.node("answer", extract(), { query, hits: fused.hits });
  return { answer: written.answer, text: written.text, hits: fused.hits };
});
