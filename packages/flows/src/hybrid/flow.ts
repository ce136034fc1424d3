import { flow, named } from "@tessera/core";
import { weighted } from "@tessera/fuser";
import { extract } from "@tessera/generator";
import { closer } from "@tessera/reranker";
import { dense, sparse } from "@tessera/retriever";

/**
 * Hybrid: retrieve by words and by vectors at the same time, fuse both rankings by their scores, each from its least to
 * its best, with the weights that the encoder advises; look closer at the best 50 where the encoder has a deeper exit than
 * the index holds; and answer without a model. Modular RAG, operators 17, 22 and 38.
 */
export const hybrid = flow("hybrid", { query: "text" }, (f, { query }) => {
  const words = f.node("sparse", sparse({ store: "sparse", top: 50 }), { query });
  const near = f.node("dense", dense({ store: "dense", encoder: "encoder", top: 50 }), { query });
  const follow = { encoder: "encoder", words: "words", vectors: "vectors" };
  const fused = f.node("fuse", weighted({ follow, top: 50 }), {
    lists: named({ words: words.hits, vectors: near.hits }),
  });
  const looked = f.node("closer", closer({ encoder: "encoder", top: 20 }), { query, hits: fused.hits });
  const written = f.node("answer", extract(), {
    query,
    hits: looked.hits,
    similarities: looked.similarities,
  });
  return { answer: written.answer, text: written.text, hits: looked.hits };
});
