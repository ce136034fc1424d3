import { first, flow, is, value } from "@tessera/core";
import { listCount, listDifference, numberCompare, textTemplate } from "@tessera/data";
import { answer } from "@tessera/generator";
import { sparse } from "@tessera/retriever";
import { modelJudge } from "@tessera/router";

const summary = flow("summary", { query: "text", candidate: "text", hits: "hits" }, (f, { query, candidate, hits }) => {
  const proposed = f.node("propose", textTemplate({ template: "{query}\nProposed answer: {candidate}" }), {
    query,
    candidate,
  });
  const instructions = "Do not answer anew: sum up what the passages say for the proposed answer.";
  const written = f.node("write", answer({ model: "model", instructions }), { query: proposed.text, hits });
  return { text: written.text };
});

const valid = "Does the draft, a summary of passages, bear out the answer that it was made for?";
const better = "The draft holds two summaries, A and B. Which one tells more of what answers the question?";
const both = textTemplate({ template: "A: {a}\nB: {b}" });

/**
 * SuRe: two candidate answers, a summary of the passages for each, and votes of judges: whether a summary is valid, and
 * which of the two is better, asked in both orders. Kim et al. 2024; Modular RAG, algorithm 4. The candidate with more
 * votes wins, the first one on a tie.
 */
export const sure = flow("sure", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("retrieve", sparse({ store: "sparse", top: 10 }), { query });
  const one = f.node("first", answer({ model: "model" }), { query, hits });
  const two = f.node("second", answer({ model: "model" }), {
    ...{ query, hits, draft: one.answer },
    feedback: value("It may be wrong. Give the next likeliest answer in its place."),
  });
  const a = f.node("sum-up-first", summary, { query, candidate: one.text, hits });
  const b = f.node("sum-up-second", summary, { query, candidate: two.text, hits });
  const validFirst = f.node(
    "valid-first",
    modelJudge({
      ...{ model: "model", question: valid, labels: { first: "yes", neither: "no" }, otherwise: "neither" },
      choices: { first: "it does", neither: "it does not" },
    }),
    { query, draft: a.text },
  );
  const validSecond = f.node(
    "valid-second",
    modelJudge({
      ...{ model: "model", question: valid, labels: { second: "yes", neither: "no" }, otherwise: "neither" },
      choices: { second: "it does", neither: "it does not" },
    }),
    { query, draft: b.text },
  );
  const ahead = f.node("join", both, { a: a.text, b: b.text });
  const forward = f.node(
    "compare",
    modelJudge({
      ...{ model: "model", question: better, labels: { first: "A", second: "B" }, otherwise: "neither" },
      choices: { first: "A does", second: "B does", neither: "they are alike" },
    }),
    { query, draft: ahead.text },
  );
  const behind = f.node("join-reversed", both, { a: b.text, b: a.text });
  const backward = f.node(
    "compare-reversed",
    modelJudge({
      ...{ model: "model", question: better, labels: { first: "B", second: "A" }, otherwise: "neither" },
      choices: { second: "A does", first: "B does", neither: "they are alike" },
    }),
    { query, draft: behind.text },
  );
  const votes = [validFirst.choice, validSecond.choice, forward.choice, backward.choice];
  const forFirst = f.node("votes-first", listDifference(), { list: votes, without: value(["second", "neither"]) });
  const forSecond = f.node("votes-second", listDifference(), { list: votes, without: value(["first", "neither"]) });
  const left = f.node("count-first", listCount(), { list: forFirst.list }).count;
  const right = f.node("count-second", listCount(), { list: forSecond.list }).count;
  const { holds } = f.node("wins", numberCompare({ is: "at-least" }), { left, right });
  const winner = textTemplate({ template: "{text}" });
  const kept = f.node("first-wins", winner, { text: one.text }, { when: is(holds, true) });
  const other = f.node("second-wins", winner, { text: two.text }, { when: is(holds, false) });
  return { text: first(kept.text, other.text), candidates: [one.answer, two.answer], hits };
});
