import { first, flow, is, value } from "@tessera/core";
import { listCount } from "@tessera/data";
import { continuation } from "@tessera/generator";
import { sparse } from "@tessera/retriever";
import { ruleJudge } from "@tessera/router";

const sentence = continuation({ model: "model", maxTokens: 64, logprobs: true });

const step = flow("step", { query: "text", draft: "text", hits: "hits" }, (f, { query, draft, hits }) => {
  const tentative = f.node("look-ahead", sentence, { query, draft, hits });
  const judged = f.node("judge", ruleJudge({ threshold: 0.8, mask: 0.4 }), {
    text: tentative.text,
    tokens: tentative.tokens,
  });
  const { empty } = f.node("count", listCount(), { list: tentative.tokens });
  const unsure = { when: [is(judged.accepted, false), is(empty, false)] };
  const found = f.node("retrieve", sparse({ store: "sparse", top: 2 }), { query: judged.query }, unsure);
  const again = f.node("regenerate", sentence, { query, draft, hits: found.hits }, unsure);
  return {
    draft: first(again.draft, tentative.draft),
    hits: first(found.hits, hits),
    done: first(again.done, tentative.done),
  };
});

/**
 * FLARE: the next sentence is written tentatively; where one of its tokens is improbable it becomes the query, without
 * its improbable tokens, and the sentence is written again from what was found. Jiang et al. 2023; Modular RAG, algorithm 7
 * with a rule judge. θ = 0.8, β = 0.4, two passages, 16 sentences at most. It needs a model with log-probabilities; the
 * flow "active" is the one with a model judge.
 */
export const flare = flow("flare", { query: "text" }, (f, { query }) => {
  const found = f.node("retrieve", sparse({ store: "sparse", top: 2 }), { query });
  const steps = f.repeat(
    "steps",
    step,
    { until: "done", carry: { draft: "draft", hits: "hits" }, max: 16 },
    { query, draft: value(""), hits: found.hits },
  );
  return { text: steps.draft, hits: steps.hits, turns: steps.turns, stopReason: steps.stopReason };
});
