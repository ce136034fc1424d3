import { flow } from "@tessera/core";
import { answer } from "@tessera/generator";
import { searchBothWays } from "../both-ways.js";

/**
 * Retrieve, then let a model answer: passages are found by words and by vectors at the same time, and both rankings are
 * fused. The best are compared once more, by a deeper exit of the encoder where it has one. A model then answers in prose,
 * with a citation after each statement, or says that the passages hold no answer. Lewis et al. 2020 with retrieval that is
 * not trained; Modular RAG, equation 4 and operators 17 and 38.
 */
export const rag = flow("rag", { query: "text" }, (f, { query }) => {
  const looked = searchBothWays(f, query);
  const written = f.node("answer", answer({ model: "model" }), { query, hits: looked.hits });
  return { answer: written.answer, text: written.text, hits: looked.hits };
});
