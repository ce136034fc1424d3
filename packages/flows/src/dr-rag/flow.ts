import { flow } from "@tessera/core";
import { hitsTexts, hitsUnion, listDifference, textTemplate } from "@tessera/data";
import { answer } from "@tessera/generator";
import { mmr } from "@tessera/reranker";
import { sparse } from "@tessera/retriever";

const hop = flow("hop", { query: "text", text: "text" }, (f, { query, text }) => {
  const joined = f.node("join", textTemplate({ template: "{query} {text}" }), { query, text });
  return { hits: f.node("retrieve", sparse({ store: "sparse", top: 5 }), { query: joined.text }).hits };
});

/**
 * DR-RAG: the question is retrieved, and once more together with each passage that was found; what is new and relevant
 * joins the context of the one model call. Hei et al. 2024; Modular RAG, section VI. Relevance by an encoder stands in
 * for the authors' trained classifier.
 */
export const drRag = flow("dr-rag", { query: "text" }, (f, { query }) => {
  const first = f.node("retrieve", sparse({ store: "sparse", top: 3 }), { query });
  const { texts } = f.node("texts", hitsTexts(), { hits: first.hits });
  const hops = f.each("hops", hop, { over: "text", max: 3 }, { query, text: texts });
  const second = f.node("unite", hitsUnion({ order: "interleaved" }), { lists: hops.hits });
  const added = f.node("new", listDifference({ of: "hit", by: "id" }), { list: second.hits, without: first.hits });
  const chosen = f.node("select", mmr({ encoder: "encoder", lambda: 0.7, top: 3 }), { query, hits: added.list });
  const { hits } = f.node("context", hitsUnion(), { lists: [first.hits, chosen.hits] });
  const written = f.node("answer", answer({ model: "model" }), { query, hits });
  return { answer: written.answer, text: written.text, hits };
});
