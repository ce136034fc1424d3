import { flow } from "@tessera/core";
import { rrf } from "@tessera/fuser";
import { answer, confirm } from "@tessera/generator";
import { dense, sparse } from "@tessera/retriever";

const attempt = flow(
  "attempt",
  { query: "text", hits: "hits", draft: { optional: "answer" }, feedback: { optional: "text" } },
  (f, { query, hits, draft, feedback }) => {
    const written = f.node("answer", answer({ model: "model" }), { query, hits, draft, feedback });
    const judged = f.node("confirm", confirm({ model: "model" }), { query, answer: written.answer, hits });
    return {
      answer: written.answer,
      text: written.text,
      confirmed: judged.confirmed,
      feedback: judged.feedback,
    };
  },
);

/**
 * Loop: answer, let a judge examine the answer against the passages, and answer again with its remarks, three times at
 * most. Modular RAG, algorithm 5 and operator 30.
 */
export const loop = flow("loop", { query: "text" }, (f, { query }) => {
  const words = f.node("sparse", sparse({ store: "sparse", top: 50 }), { query });
  const near = f.node("dense", dense({ store: "dense", encoder: "encoder", top: 50 }), { query });
  const fused = f.node("fuse", rrf({ top: 10 }), { lists: [words.hits, near.hits] });
  const attempts = f.repeat(
    "attempts",
    attempt,
    { until: "confirmed", carry: { draft: "answer", feedback: "feedback" }, max: 3 },
    { query, hits: fused.hits },
  );
  return { answer: attempts.answer, text: attempts.text, confirmed: attempts.confirmed, turns: attempts.turns };
});
