import { first, flow, is, value } from "@tessera/core";
import { listFlatten } from "@tessera/data";
import { modelFusion } from "@tessera/fuser";
import { answer } from "@tessera/generator";
import { rewrite } from "@tessera/query";
import { sparse } from "@tessera/retriever";
import { frontier } from "@tessera/router";

const visit = flow("visit", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("retrieve", sparse({ store: "sparse", top: 5 }), { query });
  const written = f.node("answer", answer({ model: "model" }), { query, hits });
  const derived = f.node("derive", rewrite({ model: "model", count: 3 }), { query, draft: written.text });
  return { answer: written.answer, queries: derived.queries };
});

const level = flow(
  "level",
  { query: "text", state: { optional: "any" }, derived: { list: "text" }, answers: { list: "answer" } },
  (f, { query, state, derived, answers }) => {
    const plan = f.node("schedule", frontier({ depth: 3, nodes: 10 }), { query, state, derived });
    const visited = f.each(
      "visit",
      visit,
      { over: "query", max: 10 },
      { query: plan.next },
      { when: is(plan.done, false) },
    );
    const grown = f.node("derived", listFlatten({ of: "text" }), { lists: visited.queries });
    const all = f.node("answers", listFlatten({ of: "answer" }), { lists: [answers, visited.answer] });
    return {
      state: plan.state,
      derived: first(grown.list, value([])),
      answers: all.list,
      done: plan.done,
      stop: plan.stop,
    };
  },
);

/**
 * Recursive: each question is retrieved and answered, and asks what is still lacking, level by level; a model fuses all
 * answers. Modular RAG, algorithm 6 with errata E2 and E3: three levels, ten questions, none asked twice.
 */
export const recursive = flow("recursive", { query: "text" }, (f, { query }) => {
  const levels = f.repeat(
    "levels",
    level,
    { until: "done", carry: { state: "state", derived: "derived", answers: "answers" }, max: 4 },
    { query, derived: value([]), answers: value([]) },
  );
  const fused = f.node("fuse", modelFusion({ model: "model", answers: 10 }), { query, answers: levels.answers });
  return { answer: fused.answer, answers: levels.answers, stop: levels.stop };
});
