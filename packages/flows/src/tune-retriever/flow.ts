import { flow } from "@tessera/core";
import { recall, supervise } from "@tessera/retriever";

const search = { store: "dense", encoder: "encoder" };

/**
 * Tuning of a retriever: an adapter of query vectors is learnt from questions and the passages that answer them, and
 * recall@5 is measured on pairs that were held out, before and after. Modular RAG, section V (retriever fine-tuning) and
 * operators 18 and 20. A tenth of the pairs judges the epochs, of at most twenty; where none helps, nothing is changed.
 * `--out <folder>` writes the adapter to a file; `retriever.adapt` with it before `retriever.dense` is how it is used.
 */
export const tuneRetriever = flow(
  "tune-retriever",
  { pairs: { list: "any" }, heldOut: { list: "any" } },
  (f, { pairs, heldOut }) => {
    const before = f.node("before", recall(search), { pairs: heldOut });
    const learnt = f.node("learn", supervise({ encoder: "encoder" }), { pairs });
    const after = f.node("after", recall(search), { pairs: heldOut, adapter: learnt.adapter });
    const { adapter, losses, validation } = learnt;
    return { adapter, losses, validation, before: before.recall, after: after.recall };
  },
);
