import { flow } from "@tessera/core";
import { extract } from "@tessera/generator";
import { searchBothWays } from "../both-ways.js";

/**
 * Hybrid: retrieve by words and by vectors at the same time, fuse both rankings by their scores, each from its least to
 * its best, with the weights that the encoder advises; look closer at the best 50 where the encoder has a deeper exit than
 * the index holds; and answer without a model. Modular RAG, operators 17, 22 and 38.
 */
export const hybrid = flow("hybrid", { query: "text" }, (f, { query }) => {
  const looked = searchBothWays(f, query);
  const written = f.node("answer", extract(), {
    query,
    hits: looked.hits,
    similarities: looked.similarities,
  });
  return { answer: written.answer, text: written.text, hits: looked.hits };
});
