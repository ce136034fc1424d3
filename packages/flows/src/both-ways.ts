import { type FlowBuilder, named, type Ref } from "@tessera/core";
import { weighted } from "@tessera/fuser";
import { closer } from "@tessera/reranker";
import { dense, sparse } from "@tessera/retriever";

/**
 * Searches by words and by vectors at the same time, and fuses both rankings by their scores, each from its least to its
 * best, with the weights that the encoder advises. Where the encoder has a deeper exit than the index holds, the best 50 are
 * compared with the question once more. The 20 best are left. Modular RAG, equation 4 and operators 17, 22 and 38.
 */
export function searchBothWays(f: FlowBuilder, query: Ref<string>) {
  const words = f.node("sparse", sparse({ store: "sparse", top: 50 }), { query });
  const near = f.node("dense", dense({ store: "dense", encoder: "encoder", top: 50 }), { query });
  const follow = { encoder: "encoder", words: "words", vectors: "vectors" };
  const fused = f.node("fuse", weighted({ follow, top: 50 }), {
    lists: named({ words: words.hits, vectors: near.hits }),
  });
  return f.node("closer", closer({ encoder: "encoder", top: 20 }), { query, hits: fused.hits });
}
