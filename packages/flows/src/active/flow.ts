import { first, flow, is, value } from "@tessera/core";
import { continuation } from "@tessera/generator";
import { rewrite } from "@tessera/query";
import { sparse } from "@tessera/retriever";
import { modelJudge } from "@tessera/router";

const inputs = { query: "text", before: "text", draft: "text", hits: "hits" } as const;

const step = flow("step", inputs, (f, { query, before, draft, hits }) => {
  const { choice } = f.node(
    "judge",
    modelJudge({
      model: "model",
      question: "An answer to the question is being written sentence by sentence. What does its next sentence need?",
      choices: {
        search: "facts that the draft does not hold and that you are not sure of",
        write: "nothing more than what is known, or the draft is complete",
      },
      otherwise: "search",
    }),
    { query, draft },
  );
  const asked = f.node(
    "rewrite",
    rewrite({ model: "model" }),
    { query, history: before, draft },
    { when: is(choice, "search") },
  );
  const found = f.node("retrieve", sparse({ store: "sparse", top: 5 }), { query: asked.query });
  const context = first(found.hits, hits);
  const next = f.node("write", continuation({ model: "model" }), { query, draft, hits: context });
  return { asked: first(asked.query, before), draft: next.draft, hits: context, done: next.done };
});

/**
 * Active: before each sentence a model judges whether it needs a search, and only then is there one. Modular RAG,
 * algorithm 7 with errata E4 and E5 and a prompted judge; twelve sentences at most. The flow "flare" has a rule judge.
 */
export const active = flow("active", { query: "text" }, (f, { query }) => {
  const steps = f.repeat(
    "steps",
    step,
    { until: "done", carry: { before: "asked", draft: "draft", hits: "hits" }, max: 12 },
    { query, before: value(""), draft: value(""), hits: value([]) },
  );
  return { text: steps.draft, hits: steps.hits, turns: steps.turns, stopReason: steps.stopReason };
});
