import { first, flow, is } from "@tessera/core";
import { hitsUnion, listCount, textTemplate } from "@tessera/data";
import { answer } from "@tessera/generator";
import { verifyChain } from "@tessera/query";
import { sparse } from "@tessera/retriever";

const check = flow("check", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("retrieve", sparse({ store: "sparse", top: 3 }), { query });
  const found = f.node("answer", answer({ model: "model", maxTokens: 128 }), { query, hits });
  const note = f.node("note", textTemplate({ template: "{query} {answer}" }), { query, answer: found.text });
  return { note: note.text, hits };
});

/**
 * Chain of verification: a draft is written, a model asks the questions that check its facts, each is retrieved and
 * answered without the draft, and the draft is revised by what they found. Dhuliawala et al. 2023 (CoVe, factored);
 * Modular RAG, operator 8. Four questions at most; where there is none to ask the draft is the answer.
 */
export const chainOfVerification = flow("chain-of-verification", { query: "text" }, (f, { query }) => {
  const found = f.node("retrieve", sparse({ store: "sparse", top: 5 }), { query });
  const draft = f.node("draft", answer({ model: "model" }), { query, hits: found.hits });
  const { queries } = f.node("plan", verifyChain({ model: "model", count: 4 }), { query, draft: draft.text });
  const { empty } = f.node("count", listCount(), { list: queries });
  const checks = f.each("check", check, { over: "query", max: 4 }, { query: queries });
  const checked = f.node("checked", hitsUnion({ order: "interleaved" }), { lists: checks.hits });
  const { hits } = f.node("unite", hitsUnion({ top: 10 }), { lists: [checked.hits, found.hits] });
  const notes = f.node("notes", textTemplate({ template: "Questions about it, answered by themselves:\n{notes[]}" }), {
    notes: checks.note,
  });
  const revised = f.node(
    "revise",
    answer({ model: "model", instructions: "Of the earlier answer keep what the answers to the questions bear out." }),
    { query, hits, draft: draft.answer, feedback: notes.text },
    { when: is(empty, false) },
  );
  return {
    answer: first(revised.answer, draft.answer),
    text: first(revised.text, draft.text),
    draft: draft.text,
    queries,
    hits,
  };
});
