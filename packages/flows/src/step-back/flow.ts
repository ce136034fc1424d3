import { flow } from "@tessera/core";
import { hitsUnion } from "@tessera/data";
import { answer } from "@tessera/generator";
import { stepBack as ask } from "@tessera/query";
import { sparse } from "@tessera/retriever";

/**
 * Step back: a model asks the more general question behind the question, both are retrieved at the same time, and the
 * answer is written from the passages of both; the provenance of each says which question found it. Zheng et al. 2023;
 * Modular RAG, operator 12.
 */
export const stepBack = flow("step-back", { query: "text" }, (f, { query }) => {
  const general = f.node("step-back", ask({ model: "model" }), { query });
  const principles = f.node("retrieve-general", sparse({ store: "sparse", top: 5 }), { query: general.query });
  const facts = f.node("retrieve", sparse({ store: "sparse", top: 5 }), { query });
  const { hits } = f.node("unite", hitsUnion({ order: "interleaved", sources: ["general", "question"] }), {
    lists: [principles.hits, facts.hits],
  });
  const written = f.node("answer", answer({ model: "model" }), { query, hits });
  return { answer: written.answer, text: written.text, general: general.query, hits };
});
