import { first, flow, is, value } from "@tessera/core";
import { listAppend, textTemplate } from "@tessera/data";
import { continuation } from "@tessera/generator";
import { sparse } from "@tessera/retriever";
import { beam, modelJudge, reflection } from "@tessera/router";

/** How a tuned model names the choices of each judge: its reflection tokens. */
export interface ReflectionTokens {
  readonly retrieval: { readonly retrieve: string; readonly continue: string };
  readonly relevance: { readonly relevant: string; readonly irrelevant: string };
  readonly support: { readonly fully: string; readonly partially: string; readonly not: string };
  readonly usefulness: { readonly [grade in "1" | "2" | "3" | "4" | "5"]: string };
}

/** How a judge and a writer are set, with tokens or without. */
function settings(tokens?: ReflectionTokens) {
  const judging = <K extends keyof ReflectionTokens>(judge: K) => ({
    model: "model",
    ...(tokens && { labels: tokens[judge] }),
  });
  return { judging, writing: { model: "model", maxTokens: 100, ...(tokens && { logprobs: true }) } };
}
type Settings = ReturnType<typeof settings>;

/** A continuation of the draft from one passage, with its score. */
function segmentOf({ judging, writing }: Settings) {
  return flow("segment", { query: "text", draft: "text", hit: "hit" }, (f, { query, draft, hit }) => {
    const written = f.node("write", continuation(writing), { query, draft, hits: [hit] });
    const relevance = f.node(
      "relevance",
      modelJudge({
        ...judging("relevance"),
        question: "Does the passage hold what helps to answer the question?",
        choices: { relevant: "it does", irrelevant: "it does not" },
        otherwise: "irrelevant",
      }),
      { query, hits: [hit] },
    );
    const judged = { query, draft: written.text, hits: [hit] };
    const support = f.node(
      "support",
      modelJudge({
        ...judging("support"),
        question: "How far does the passage support what the draft says?",
        choices: { fully: "all of it", partially: "some of it", not: "nothing of it" },
        otherwise: "not",
      }),
      judged,
    );
    const usefulness = f.node(
      "usefulness",
      modelJudge({
        ...judging("usefulness"),
        question: "How useful is the draft as an answer to the question?",
        choices: { "1": "useless", "2": "hardly", "3": "somewhat", "4": "useful", "5": "all that one could want" },
        otherwise: "3",
      }),
      judged,
    );
    const scored = f.node("score", reflection({ usefulness: 0.5 }), {
      text: written.text,
      done: written.done,
      tokens: written.tokens,
      relevance: relevance.chances,
      support: support.chances,
      usefulness: usefulness.chances,
    });
    return { candidate: scored.candidate };
  });
}

/** The continuations of a draft: one from each passage found, or one without passages. */
function extendOf(given: Settings) {
  return flow("extend", { query: "text", draft: "text" }, (f, { query, draft }) => {
    const { choice } = f.node(
      "retrieve-or-not",
      modelJudge({
        ...given.judging("retrieval"),
        question: "An answer to the question is being written. Do facts from a search help to write its next sentence?",
        choices: { retrieve: "they do", continue: "they do not, or the draft is complete" },
        otherwise: "retrieve",
        favour: { choice: "retrieve", above: 0.2 },
      }),
      { query, draft },
    );
    const joined = f.node("join", textTemplate({ template: "{query} {draft}" }), { query, draft });
    const found = f.node(
      "retrieve",
      sparse({ store: "sparse", top: 5 }),
      { query: joined.text },
      { when: is(choice, "retrieve") },
    );
    const segments = f.each("segments", segmentOf(given), { over: "hit", max: 5 }, { query, draft, hit: found.hits });
    const plain = f.node("write", continuation(given.writing), { query, draft }, { when: is(choice, "continue") });
    const scored = f.node("score", reflection(), { text: plain.text, done: plain.done, tokens: plain.tokens });
    const alone = f.node("alone", listAppend(), { list: value([]), item: scored.candidate });
    return { candidates: first(segments.candidate, alone.list) };
  });
}

/** One turn of the beam search over drafts. */
function turnOf(given: Settings) {
  return flow(
    "turn",
    { query: "text", state: { optional: "any" }, candidates: { list: { list: "any" } } },
    (f, { query, state, candidates }) => {
      const search = f.node("schedule", beam({ width: 2, depth: 7 }), { state, candidates });
      const extended = f.each(
        "extend",
        extendOf(given),
        { over: "draft", max: 2 },
        { query, draft: search.next },
        { when: is(search.done, false) },
      );
      return {
        state: search.state,
        candidates: first(extended.candidates, value([])),
        text: search.best,
        score: search.score,
        done: search.done,
      };
    },
  );
}

/**
 * Self-RAG under a name. With tokens the judges read their probabilities, and the writers give those of what they write;
 * without them a prompted model says its verdicts in words.
 */
export function reflecting(name: string, tokens?: ReflectionTokens) {
  const turn = turnOf(settings(tokens));
  return flow(name, { query: "text" }, (f, { query }) => {
    const turns = f.repeat(
      "turns",
      turn,
      { until: "done", carry: { state: "state", candidates: "candidates" }, max: 8 },
      { query, candidates: value([]) },
    );
    return { text: turns.text, score: turns.score, turns: turns.turns };
  });
}
