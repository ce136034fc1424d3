import { first, flow, is, value } from "@tessera/core";
import { hitsUnion, textTemplate } from "@tessera/data";
import { answer, confirm } from "@tessera/generator";
import { subQuery, textToSql } from "@tessera/query";
import { plan } from "@tessera/router";

const lookUp = flow("look-up", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("rows", textToSql({ model: "model", database: "database" }), { query });
  return { hits, text: f.node("observe", answer({ model: "model", maxTokens: 128 }), { query, hits }).text };
});

const step = flow(
  "step",
  { questions: { list: "text" }, state: { optional: "any" }, answers: { list: "text" }, hits: "hits" },
  (f, { questions, state, answers, hits }) => {
    const next = f.node("schedule", plan(), { questions, state, answers });
    const looked = f.each(
      "look-up",
      lookUp,
      { over: "query", max: 5 },
      { query: next.next },
      { when: is(next.done, false) },
    );
    const found = f.node("found", hitsUnion(), { lists: looked.hits });
    return {
      state: next.state,
      answers: first(looked.text, value([])),
      notes: next.notes,
      hits: f.node("gather", hitsUnion(), { lists: [hits, found.hits] }).hits,
      done: next.done,
    };
  },
);

const attempt = flow("attempt", { query: "text", known: "text", hits: "hits" }, (f, { query, known, hits }) => {
  const asked = f.node("ask", textTemplate({ template: "{query}\n{known}" }), { query, known });
  const planned = f.node("plan", subQuery({ model: "model", count: 5 }), { query: asked.text });
  const steps = f.repeat(
    "steps",
    step,
    { until: "done", carry: { state: "state", answers: "answers", hits: "hits" }, max: 6 },
    { questions: planned.queries, answers: value([]), hits },
  );
  const written = f.node("answer", answer({ model: "model" }), { query, hits: steps.hits });
  const judged = f.node("judge", confirm({ model: "model" }), { query, answer: written.answer, hits: steps.hits });
  const observed = f.node("observations", textTemplate({ template: "{known}\n{notes[]}\n{feedback}" }), {
    known,
    notes: steps.notes,
    feedback: judged.feedback,
  });
  return {
    answer: written.answer,
    text: written.text,
    known: observed.text,
    hits: steps.hits,
    finished: judged.confirmed,
  };
});

/**
 * PlanRAG: a plan of questions is put to a database step by step, and where the observations do not give the answer a new
 * plan is made from them. Lee et al. 2024; Modular RAG, section VI. Five questions a plan, three plans at most; the flow
 * needs a resource of the kind "database".
 */
export const planrag = flow("planrag", { query: "text" }, (f, { query }) => {
  const attempts = f.repeat(
    "attempts",
    attempt,
    { until: "finished", carry: { known: "known", hits: "hits" }, max: 3 },
    { query, known: value(""), hits: value([]) },
  );
  return {
    answer: attempts.answer,
    text: attempts.text,
    observations: attempts.known,
    hits: attempts.hits,
    turns: attempts.turns,
    stopReason: attempts.stopReason,
  };
});
