import { flow, named } from "@tessera/core";
import { weighted } from "@tessera/fuser";
import { answer } from "@tessera/generator";
import { closer } from "@tessera/reranker";
import { dense, sparse } from "@tessera/retriever";

/**
 * Retrieve, then let a model answer: passages are found by words and by vectors at the same time, and both rankings are
 * fused. The best are compared once more, by a deeper exit of the encoder where it has one. A model then answers in prose,
 * with a citation after each statement, or says that the passages hold no answer. Lewis et al. 2020 with retrieval that is
 * not trained; Modular RAG, equation 4 and operators 17 and 38.
 */
export const rag = flow("rag", { query: "text" }, (f, { query }) => {
  const words = f.node("sparse", sparse({ store: "sparse", top: 50 }), { query });
  const near = f.node("dense", dense({ store: "dense", encoder: "encoder", top: 50 }), { query });
  const follow = { encoder: "encoder", words: "words", vectors: "vectors" };
  const fused = f.node("fuse", weighted({ follow, top: 50 }), {
    lists: named({ words: words.hits, vectors: near.hits }),
  });
  const looked = f.node("closer", closer({ encoder: "encoder", top: 20 }), { query, hits: fused.hits });
  const written = f.node("answer", answer({ model: "model" }), { query, hits: looked.hits });
  return { answer: written.answer, text: written.text, hits: looked.hits };
});
