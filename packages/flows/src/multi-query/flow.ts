import { flow } from "@tessera/core";
import { listAppend } from "@tessera/data";
import { rrf } from "@tessera/fuser";
import { answer } from "@tessera/generator";
import { multiQuery as expand } from "@tessera/query";
import { hybrid } from "@tessera/retriever";

/**
 * Multi-query: three other wordings of the question are retrieved beside it, by words and by vectors, and the rankings
 * are fused with twice the weight on the question's own. Modular RAG, operator 6 and equation 28.
 */
export const multiQuery = flow("multi-query", { query: "text" }, (f, { query }) => {
  const { queries } = f.node("expand", expand({ model: "model", count: 3 }), { query });
  const all = f.node("all", listAppend({ of: "text", at: "start" }), { list: queries, item: query });
  const found = f.each(
    "retrieve",
    hybrid({ sparse: "sparse", dense: "dense", encoder: "encoder", top: 20 }),
    { over: "query", max: 4 },
    { query: all.list },
  );
  const { hits } = f.node("fuse", rrf({ weights: [2], top: 10 }), { lists: found.hits });
  const written = f.node("answer", answer({ model: "model" }), { query, hits });
  return { answer: written.answer, text: written.text, queries, hits };
});
