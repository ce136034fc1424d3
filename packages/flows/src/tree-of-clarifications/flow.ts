import { first, flow, is, value } from "@tessera/core";
import { listAppend, listFlatten, listTake } from "@tessera/data";
import { modelFusion } from "@tessera/fuser";
import { answer, claims } from "@tessera/generator";
import { mmr } from "@tessera/reranker";
import { sparse } from "@tessera/retriever";
import { modelJudge, tree } from "@tessera/router";

const nearest = mmr({ encoder: "encoder", lambda: 1, top: 5 });

const verify = flow(
  "verify",
  { query: "text", child: "text", hits: "hits", prune: "flag" },
  (f, { query, child, hits, prune }) => {
    const { choice } = f.node(
      "judge",
      modelJudge({
        model: "model",
        question:
          "The draft is a narrower question. Could it be what the ambiguous question means, and do the passages answer it?",
        choices: { yes: "both", no: "one of them not" },
        otherwise: "no",
      }),
      { query, draft: child, hits },
      { when: is(prune, true) },
    );
    const itself = listTake({ of: "text", count: 1 });
    const kept = f.node("keep", itself, { list: [child] }, { when: is(choice, "yes") });
    const spared = f.node("spare", itself, { list: [child] }, { when: is(prune, false) });
    return { kept: first(kept.list, spared.list, value([])) };
  },
);

const expansion = flow(
  "expansion",
  { query: "text", hits: "hits", state: { optional: "any" }, children: { list: "text" } },
  (f, { query, hits, state, children }) => {
    const grown = f.node("schedule", tree(), { query, state, children });
    const near = f.node("rerank", nearest, { query: grown.next, hits });
    const asked = f.node(
      "clarify",
      answer({
        model: "model",
        instructions:
          "Do not answer the question: it is ambiguous. Write the narrower questions that it may mean and that the passages answer, three at most, each a sentence that can be understood alone.",
      }),
      { query: grown.next, hits: near.hits },
    );
    const split = f.node("split", claims({ claims: 3 }), { text: asked.text }, { when: is(asked.refused, false) });
    const verified = f.each(
      "verify",
      verify,
      { over: "child", max: 3 },
      { query, child: split.claims, hits: near.hits, prune: grown.prune },
    );
    const valid = f.node("valid", listFlatten({ of: "text" }), { lists: verified.kept });
    return {
      state: grown.state,
      children: first(valid.list, value([])),
      questions: grown.questions,
      done: grown.done,
      stop: grown.stop,
    };
  },
);

const reader = flow("reader", { query: "text", hits: "hits" }, (f, { query, hits }) => {
  const near = f.node("rerank", nearest, { query, hits });
  return { answer: f.node("answer", answer({ model: "model", maxTokens: 256 }), { query, hits: near.hits }).answer };
});

/**
 * Tree of Clarifications: an ambiguous question grows a tree of narrower ones, found in its passages and pruned by a judge
 * that knows the root; all of them are answered, and the answers fused. Kim et al. 2023; Modular RAG, algorithm 6. Depth 3,
 * ten questions, three restarts, 15 expansions; 100 passages are retrieved once and reranked for each question.
 */
export const treeOfClarifications = flow("tree-of-clarifications", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("retrieve", sparse({ store: "sparse", top: 100 }), { query });
  const grown = f.repeat(
    "expansions",
    expansion,
    { until: "done", carry: { state: "state", children: "children" }, max: 16 },
    { query, hits, children: value([]) },
  );
  const all = f.node("questions", listAppend({ of: "text", at: "start" }), { list: grown.questions, item: query });
  const read = f.each("read", reader, { over: "query", max: 11 }, { query: all.list, hits });
  const fused = f.node("fuse", modelFusion({ model: "model", answers: 11 }), { query, answers: read.answer });
  return { answer: fused.answer, questions: grown.questions, stop: grown.stop, hits };
});
