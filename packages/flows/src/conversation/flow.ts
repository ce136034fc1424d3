import { flow } from "@tessera/core";
import { condense } from "@tessera/query";
import { chat } from "../chat/flow.js";

/**
 * Conversation: the flow "chat" for long talks. A history that has become long is replaced by a summary of it and its end;
 * the output `summary` is what a thread keeps, so that the same turns are summarised once.
 */
export const conversation = flow(
  "conversation",
  { query: "text", history: { optional: "text" } },
  (f, { query, history }) => {
    const short = f.node("short", condense({ model: "model" }), { history });
    const { answer, text, query: asked, hits } = f.node("chat", chat, { query, history: short.history });
    return { answer, text, query: asked, hits, summary: short.summary };
  },
);
