import { flow } from "@tessera/core";
import { listCompact } from "@tessera/data";
import { modelFusion } from "@tessera/fuser";
import { answer } from "@tessera/generator";
import { sparse } from "@tessera/retriever";

const reader = flow("reader", { query: "text", hit: "hit" }, (f, { query, hit }) => ({
  answer: f.node("answer", answer({ model: "model", maxTokens: 256 }), { query, hits: [hit] }).answer,
}));

/**
 * Branching after retrieval: each of five passages is read on a branch of its own, and a model fuses the answers; a
 * branch that fails is left out. Modular RAG, algorithm 4 and equation 29.
 */
export const postBranching = flow("post-branching", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("retrieve", sparse({ store: "sparse", top: 5 }), { query });
  const read = f.each("read", reader, { over: "hit", max: 5 }, { query, hit: hits }, { policy: { onError: "skip" } });
  const answers = f.node("compact", listCompact({ of: "answer" }), { list: read.answer }).list;
  const fused = f.node("fuse", modelFusion({ model: "model", answers: 5 }), { query, answers });
  return { answer: fused.answer, answers, hits };
});
