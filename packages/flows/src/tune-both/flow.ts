import { first, flow, is, value } from "@tessera/core";
import { listCount, listFlatten } from "@tessera/data";
import { answer, dual } from "@tessera/generator";
import { dense, recall, superviseByModel } from "@tessera/retriever";

const search = { store: "dense", encoder: "encoder" };

const example = flow("example", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("retrieve", dense({ ...search, top: 5 }), { query });
  const written = f.node("answer", answer({ model: "model" }), { query, hits });
  const input = { query, hits, answer: written.answer };
  const made = f.node("export", dual({ model: "model" }), input);
  return { generator: made.generator, retriever: made.retriever };
});

/**
 * Tuning of both: from the same retrievals come chats for the generator, one for each passage, and what the model makes of
 * each passage, by which an adapter of the retriever's query vectors is learnt. Lin et al. 2023 (RA-DIT); Modular RAG,
 * section V (dual fine-tuning), operators 19 and 28, equations 11 and 16. Recall@5 is measured on pairs that were held
 * out, before and after. It needs a model that scores a given text; of one that refuses every question nothing is learnt:
 * the adapter is null.
 */
export const tuneBoth = flow(
  "tune-both",
  { queries: { list: "text" }, heldOut: { list: "any" } },
  (f, { queries, heldOut }) => {
    const made = f.each("example", example, { over: "query", concurrency: 4, max: 1000 }, { query: queries });
    const chats = f.node("chats", listFlatten(), { lists: made.generator });
    const { list: records } = f.node("preferences", listFlatten(), { lists: made.retriever });
    const { empty } = f.node("count", listCount(), { list: records });
    const { adapter, losses } = f.node(
      "learn",
      superviseByModel({ encoder: "encoder" }),
      { records },
      { when: is(empty, false) },
    );
    const before = f.node("before", recall(search), { pairs: heldOut });
    const after = f.node("after", recall(search), { pairs: heldOut, adapter });
    return {
      chats: chats.list,
      adapter: first(adapter, value(null)),
      losses: first(losses, value([])),
      before: before.recall,
      after: after.recall,
    };
  },
);
