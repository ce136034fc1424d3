import { flow, named } from "@tessera/core";
import { weighted } from "@tessera/fuser";
import { answer } from "@tessera/generator";
import { standalone } from "@tessera/query";
import { dense, sparse } from "@tessera/retriever";

/**
 * Chat: the flow "rag" in a conversation. A question that follows on earlier messages is made whole by one more call of
 * the model, so that it can be searched; without a history that call is not made. Modular RAG, operator 9 and equation 4.
 */
export const chat = flow("chat", { query: "text", history: { optional: "text" } }, (f, { query, history }) => {
  const asked = f.node("whole", standalone({ model: "model" }), { query, history });
  const words = f.node("sparse", sparse({ store: "sparse", top: 50 }), { query: asked.query });
  const near = f.node("dense", dense({ store: "dense", encoder: "encoder", top: 50 }), { query: asked.query });
  const fused = f.node("fuse", weighted({ top: 20 }), { lists: named({ words: words.hits, vectors: near.hits }) });
  const written = f.node("answer", answer({ model: "model" }), { query: asked.query, hits: fused.hits });
  return { answer: written.answer, text: written.text, query: asked.query, hits: fused.hits };
});
