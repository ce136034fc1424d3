import { first, flow, is } from "@tessera/core";
import { rrf } from "@tessera/fuser";
import { extract } from "@tessera/generator";
import { dense, sparse } from "@tessera/retriever";
import { threshold } from "@tessera/router";

/**
 * Conditional: where the words of the question find a strong passage, that is enough; where they do not, vectors are
 * searched too. Modular RAG, algorithm 2 and equation 26.
 */
export const conditional = flow("conditional", { query: "text" }, (f, { query }) => {
  const words = f.node("sparse", sparse({ store: "sparse", top: 50 }), { query });
  const { choice } = f.node("route", threshold({ choices: ["weak", "strong"], cuts: [12], of: "hits" }), {
    hits: words.hits,
  });
  const near = f.node(
    "dense",
    dense({ store: "dense", encoder: "encoder", top: 50 }),
    { query },
    { when: is(choice, "weak") },
  );
  const fused = f.node("fuse", rrf({ top: 20 }), { lists: [words.hits, near.hits] }, { when: is(choice, "weak") });
  const hits = first(fused.hits, words.hits);
  const written = f.node("answer", extract(), { query, hits });
  return { answer: written.answer, text: written.text, choice, hits };
});
