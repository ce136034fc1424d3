import { flow, value } from "@tessera/core";
import { textTemplate } from "@tessera/data";
import { answer } from "@tessera/generator";
import { sparse } from "@tessera/retriever";

const round = flow("round", { query: "text", said: "text" }, (f, { query, said }) => {
  const joined = f.node("join", textTemplate({ template: "{said} {query}" }), { said, query });
  const { hits } = f.node("retrieve", sparse({ store: "sparse", top: 5 }), { query: joined.text });
  const written = f.node("answer", answer({ model: "model" }), { query, hits });
  return { answer: written.answer, said: written.text, hits };
});

/**
 * ITER-RETGEN: what was generated is put before the question to retrieve again, in two rounds; each round reads its own
 * passages only. Shao et al. 2023; Modular RAG, algorithm 5. The query of round t is y_{t-1}, a space, q.
 */
export const iterRetgen = flow("iter-retgen", { query: "text" }, (f, { query }) => {
  const rounds = f.repeat("rounds", round, { carry: { said: "said" }, max: 2 }, { query, said: value("") });
  return { answer: rounds.answer, text: rounds.said, hits: rounds.hits, turns: rounds.turns };
});
