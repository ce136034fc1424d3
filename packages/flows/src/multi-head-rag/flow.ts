import { flow } from "@tessera/core";
import { answer } from "@tessera/generator";
import { multiVector } from "@tessera/retriever";

const head = (index: number) => ({ store: `head-${index}`, encoder: `head-${index}` });

/**
 * Multi-Head RAG: four vectors of the question are searched, each in a space of its own, and their lists vote, so that a
 * question of several aspects finds passages of each. Besta et al. 2024; Modular RAG, section VI. The method adds one
 * retriever and nothing else. The authors' heads are those of a decoder's last attention layer; here they are whatever
 * the stores and encoders `head-0` to `head-3` hold, by default equal parts of the encoder's vector.
 */
export const multiHeadRag = flow("multi-head-rag", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("retrieve", multiVector({ heads: [head(0), head(1), head(2), head(3)], top: 20 }), { query });
  const written = f.node("answer", answer({ model: "model" }), { query, hits });
  return { answer: written.answer, text: written.text, hits };
});
