import { flow } from "@tessera/core";
import { standalone } from "@tessera/query";
import { rag } from "../rag/flow.js";

/**
 * Chat: the flow "rag" in a conversation. A question that follows on earlier messages is made whole by one more call of
 * the model, so that it can be searched; without a history that call is not made. Modular RAG, operator 9 and equation 4.
 */
export const chat = flow("chat", { query: "text", history: { optional: "text" } }, (f, { query, history }) => {
  const asked = f.node("whole", standalone({ model: "model" }), { query, history });
  const { answer, text, hits } = f.node("rag", rag, { query: asked.query });
  return { answer, text, query: asked.query, hits };
});
