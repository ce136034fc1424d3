import { flow } from "@tessera/core";
import { listAppend } from "@tessera/data";
import { rrf } from "@tessera/fuser";
import { answer } from "@tessera/generator";
import { multiQuery } from "@tessera/query";
import { sparse } from "@tessera/retriever";

/**
 * Branching before retrieval: a model writes other wordings of the question, each is retrieved on a branch of its own,
 * and the rankings are fused into one context for the answer. Modular RAG, algorithm 3 (contexts merged) and equation 28.
 */
export const branching = flow("branching", { query: "text" }, (f, { query }) => {
  const { queries } = f.node("expand", multiQuery({ model: "model", count: 3 }), { query });
  const all = f.node("all", listAppend(), { list: queries, item: query });
  const found = f.each(
    "retrieve",
    sparse({ store: "sparse", top: 20 }),
    { over: "query", max: 4 },
    { query: all.list },
  );
  const fused = f.node("fuse", rrf({ top: 10 }), { lists: found.hits });
  const written = f.node("answer", answer({ model: "model" }), { query, hits: fused.hits });
  return { answer: written.answer, text: written.text, hits: fused.hits };
});
