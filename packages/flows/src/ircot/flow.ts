import { flow, is, value } from "@tessera/core";
import { hitsUnion, listCount, numberCompare } from "@tessera/data";
import { answer, continuation } from "@tessera/generator";
import { sparse } from "@tessera/retriever";

const step = flow("step", { query: "text", draft: "text", hits: "hits" }, (f, { query, draft, hits }) => {
  const thought = f.node(
    "think",
    continuation({
      model: "model",
      instructions: 'Reason step by step. Once you know the answer, write "So the answer is" and the answer.',
      until: "answer is",
    }),
    { query, draft, hits },
  );
  const found = f.node(
    "retrieve",
    sparse({ store: "sparse", top: 6 }),
    { query: thought.text },
    { when: is(thought.done, false) },
  );
  const gathered = f.node("gather", hitsUnion({ top: 15 }), { lists: [hits, found.hits] });
  const { count } = f.node("count", listCount(), { list: gathered.hits });
  const full = f.node("full", numberCompare({ is: "at-least" }), { left: count, right: value(15) });
  return { draft: thought.draft, hits: gathered.hits, done: thought.done, full: full.holds };
});

/**
 * IRCoT: a chain of thought grows sentence by sentence, and each sentence retrieves passages for the next one; a reader
 * then answers from all that was gathered. Trivedi et al. 2023; Modular RAG, algorithm 5. It stops at "answer is", at 15
 * passages or after eight sentences.
 */
export const ircot = flow("ircot", { query: "text" }, (f, { query }) => {
  const found = f.node("retrieve", sparse({ store: "sparse", top: 6 }), { query });
  const steps = f.repeat(
    "steps",
    step,
    { until: ["done", "full"], carry: { draft: "draft", hits: "hits" }, max: 8 },
    { query, draft: value(""), hits: found.hits },
  );
  const read = f.node("read", answer({ model: "model" }), { query, hits: steps.hits });
  return {
    answer: read.answer,
    text: read.text,
    thoughts: steps.draft,
    hits: steps.hits,
    turns: steps.turns,
    stopReason: steps.stopReason,
  };
});
