import { flow, value } from "@tessera/core";
import { textTemplate } from "@tessera/data";
import { answer, confirm } from "@tessera/generator";
import { rewrite } from "@tessera/query";
import { sparse } from "@tessera/retriever";

const turn = flow(
  "turn",
  { query: "text", before: "text", said: "text", draft: { optional: "answer" }, feedback: { optional: "text" } },
  (f, { query, before, said, draft, feedback }) => {
    const asked = f.node("rewrite", rewrite({ model: "model" }), { query, history: before, draft: said });
    const joined = f.node("join", textTemplate({ template: "{said} {query}" }), { said, query: asked.query });
    const { hits } = f.node("retrieve", sparse({ store: "sparse", top: 5 }), { query: joined.text });
    const written = f.node("answer", answer({ model: "model" }), { query, hits, draft, feedback });
    const judged = f.node("judge", confirm({ model: "model" }), { query, answer: written.answer, hits });
    return {
      answer: written.answer,
      asked: asked.query,
      said: written.text,
      feedback: judged.feedback,
      confirmed: judged.confirmed,
      hits,
    };
  },
);

/**
 * Iterative: the question is rewritten by what was said and asked so far, retrieved together with it, and answered over the
 * answer before, until a judge confirms the answer, four times at most; the last one is what the turns come to. Modular
 * RAG, algorithm 5 with errata E6 and E7.
 */
export const iterative = flow("iterative", { query: "text" }, (f, { query }) => {
  const turns = f.repeat(
    "turns",
    turn,
    { until: "confirmed", carry: { before: "asked", said: "said", draft: "answer", feedback: "feedback" }, max: 4 },
    { query, before: value(""), said: value("") },
  );
  return {
    answer: turns.answer,
    text: turns.said,
    hits: turns.hits,
    confirmed: turns.confirmed,
    turns: turns.turns,
    stopReason: turns.stopReason,
  };
});
