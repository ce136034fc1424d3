import { first, flow, value } from "@tessera/core";
import { hitsUnion, textMatch, textTemplate } from "@tessera/data";
import { continuation } from "@tessera/generator";
import { sparse } from "@tessera/retriever";

const step = flow("step", { query: "text", draft: "text", hits: "hits" }, (f, { query, draft, hits }) => {
  const said = f.node(
    "ask",
    continuation({
      model: "model",
      instructions:
        'Write either "Follow up: " and one simple question whose answer you still need, or "So the final answer is: " and the answer. The intermediate answers are written for you.',
      until: "final answer is:",
    }),
    { query, draft },
  );
  const { question } = f.node("follow-up", textMatch({ pattern: "Follow up: {question}" }), { text: said.text });
  const found = f.node("retrieve", sparse({ store: "sparse", top: 5 }), { query: question });
  const read = f.node("read", continuation({ model: "model" }), { query: question, hits: found.hits });
  const noted = f.node("note", textTemplate({ template: "{draft}\nIntermediate answer: {text}\n" }), {
    draft: said.draft,
    text: read.text,
  });
  const gathered = f.node("gather", hitsUnion(), { lists: [hits, found.hits] });
  return { draft: first(noted.text, said.draft), hits: gathered.hits, done: said.done };
});

/**
 * Self-Ask: the model asks itself follow-up questions, each is retrieved and answered, until it states the final answer.
 * Press et al. 2022; Modular RAG, section V. Five turns at most; without a final answer `text` is all that
 * was said.
 */
export const selfAsk = flow("self-ask", { query: "text" }, (f, { query }) => {
  const steps = f.repeat(
    "steps",
    step,
    { until: "done", carry: { draft: "draft", hits: "hits" }, max: 5 },
    { query, draft: value(""), hits: value([]) },
  );
  const final = f.node("final", textMatch({ pattern: "final answer is: {answer}" }), { text: steps.draft });
  return {
    text: first(final.answer, steps.draft),
    thoughts: steps.draft,
    hits: steps.hits,
    turns: steps.turns,
    stopReason: steps.stopReason,
  };
});
