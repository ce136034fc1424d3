import { first, flow, is, value } from "@tessera/core";
import { answer, continuation } from "@tessera/generator";
import { sparse } from "@tessera/retriever";
import { modelJudge } from "@tessera/router";
import { ircot } from "../ircot/flow.js";

const single = flow("single", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("retrieve", sparse({ store: "sparse", top: 10 }), { query });
  return { text: f.node("answer", answer({ model: "model" }), { query, hits }).text, hits };
});

/**
 * Adaptive-RAG: a judge tells by the question alone whether it needs no retrieval, one, or several steps, and one of
 * three flows answers it; the last of them is "ircot". Jeong et al. 2024; Modular RAG, algorithm 2. A prompted judge
 * stands in for the authors' trained classifier.
 */
export const adaptiveRag = flow("adaptive-rag", { query: "text" }, (f, { query }) => {
  const { choice } = f.node(
    "judge",
    modelJudge({
      model: "model",
      question: "How is the question to be answered?",
      choices: {
        none: "from common knowledge, without a search",
        single: "by one search for facts about what it names",
        multiple: "by several searches, each for what the one before it found",
      },
      otherwise: "single",
    }),
    { query },
  );
  const known = f.node("none", continuation({ model: "model" }), { query }, { when: is(choice, "none") });
  const once = f.node("single", single, { query }, { when: is(choice, "single") });
  const steps = f.node("multiple", ircot, { query }, { when: is(choice, "multiple") });
  return { text: first(known.text, once.text, steps.text), hits: first(once.hits, steps.hits, value([])), choice };
});
