import { flow } from "@tessera/core";
import { answer } from "@tessera/generator";
import { hyde as imagine } from "@tessera/query";
import { dense } from "@tessera/retriever";

/**
 * HyDE: eight invented passages that might answer the question are embedded with it, and the mean of the nine vectors is
 * searched. Gao et al. 2022; Modular RAG, operator 10. The answer is written from what was found, never from what was
 * invented.
 */
export const hyde = flow("hyde", { query: "text" }, (f, { query }) => {
  const imagined = f.node("imagine", imagine({ model: "model", encoder: "encoder", count: 8 }), { query });
  const { hits } = f.node("retrieve", dense({ store: "dense", encoder: "encoder", top: 10 }), {
    query,
    vector: imagined.vector,
  });
  const written = f.node("answer", answer({ model: "model" }), { query, hits });
  return { answer: written.answer, text: written.text, documents: imagined.documents, hits };
});
