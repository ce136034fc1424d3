import { first, flow, is, value } from "@tessera/core";
import { listFlatten, textTemplate } from "@tessera/data";
import { continuation } from "@tessera/generator";
import { multiQuery, rewrite, subQuery } from "@tessera/query";
import { sparse } from "@tessera/retriever";
import { beam, reflection } from "@tessera/router";

const leaf = flow("leaf", { query: "text", draft: "text", refined: "text" }, (f, { query, draft, refined }) => {
  const { hits } = f.node("retrieve", sparse({ store: "sparse", top: 3 }), { query: refined });
  const written = f.node("write", continuation({ model: "model", logprobs: true }), { query, draft, hits });
  const scored = f.node("score", reflection(), { text: written.text, tokens: written.tokens });
  return { candidate: scored.candidate };
});

const refine = flow("refine", { query: "text", draft: "text" }, (f, { query, draft }) => {
  const asked = f.node("join", textTemplate({ template: "{query}\n{draft}" }), { query, draft });
  const rewritten = f.node("rewrite", rewrite({ model: "model" }), { query, draft });
  const decomposed = f.node("decompose", subQuery({ model: "model", count: 1 }), { query: asked.text });
  const disambiguated = f.node("disambiguate", multiQuery({ model: "model", count: 1 }), { query: asked.text });
  const all = f.node("queries", listFlatten({ of: "text" }), {
    lists: [rewritten.queries, decomposed.queries, disambiguated.queries],
  });
  const leaves = f.each("leaves", leaf, { over: "refined", max: 3 }, { query, draft, refined: all.list });
  return { candidates: leaves.candidate };
});

const turn = flow(
  "turn",
  { query: "text", state: { optional: "any" }, candidates: { list: { list: "any" } } },
  (f, { query, state, candidates }) => {
    const tree = f.node("schedule", beam({ width: 27, depth: 3, score: "last" }), { state, candidates });
    const refined = f.each(
      "refine",
      refine,
      { over: "draft", max: 9 },
      { query, draft: tree.next },
      { when: is(tree.done, false) },
    );
    return {
      state: tree.state,
      candidates: first(refined.candidates, value([])),
      text: tree.best,
      confidence: tree.score,
      done: tree.done,
    };
  },
);

/**
 * RQ-RAG: at each node of a tree of depth three the question is rewritten, decomposed and disambiguated, each is retrieved
 * and gives the next sentence, and the path whose leaf the model is surest of is the answer. Chan et al. 2024; Modular RAG,
 * algorithm 6. Confidence is exp(mean log-probability), so that it needs a model with log-probabilities; prompted
 * refinement stands in for the authors' trained model.
 */
export const rqRag = flow("rq-rag", { query: "text" }, (f, { query }) => {
  const turns = f.repeat(
    "turns",
    turn,
    { until: "done", carry: { state: "state", candidates: "candidates" }, max: 4 },
    { query, candidates: value([]) },
  );
  return { text: turns.text, confidence: turns.confidence, turns: turns.turns };
});
