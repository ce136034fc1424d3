// internal: linear
import { flow } from "@tessera/core";
import { extract } from "@tessera/generator";
import { sparse } from "@tessera/retriever";

/**
 * Linear: retrieve by words, then answer with what was found, without a model. Modular RAG, equation 25; the plainest
 * flow there is.
 */
export const linear = flow("linear", { query: "text" }, (f, { query }) => {
  const found = f.node("retrieve", sparse({ store: "sparse", top: 20 }), { query });
  const written = f.node("answer", extract(), { query, hits: found.hits });
  return { answer: written.answer, text: written.text, hits: found.hits };
});
