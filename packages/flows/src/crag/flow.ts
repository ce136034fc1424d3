import { first, flow, is, value } from "@tessera/core";
import { hitsUnion, listCount, listDifference, listTake } from "@tessera/data";
import { answer } from "@tessera/generator";
import { mcpSearch } from "@tessera/mcp";
import { rewrite } from "@tessera/query";
import { dense, sparse } from "@tessera/retriever";
import { modelJudge } from "@tessera/router";

const assess = flow("assess", { query: "text", hit: "hit" }, (f, { query, hit }) => {
  const { choice } = f.node(
    "judge",
    modelJudge({
      model: "model",
      question: "How well does the passage serve to answer the question?",
      choices: {
        correct: "it holds the answer, or a part of it",
        ambiguous: "it is about the same thing, but it may not hold the answer",
        incorrect: "it is about something else",
      },
      otherwise: "ambiguous",
    }),
    { query, hits: [hit] },
  );
  const kept = f.node(
    "keep",
    listTake({ of: "hit", count: 1 }),
    { list: [hit] },
    { when: is(choice, "correct", "ambiguous") },
  );
  return { choice, kept: first(kept.list, value([])) };
});

/**
 * Corrective RAG: each passage is judged, irrelevant ones are dropped, and where none is right another source is searched
 * with a rewritten query. Yan et al. 2024; Modular RAG, algorithm 2 with the route after retrieval. One right passage is
 * enough; where all are wrong only the other source counts, and else both do. The other source is the MCP server "web",
 * such as a search of the web, or the vector store where there is no such server. A prompted judge stands in for the
 * authors' trained evaluator, and whole passages for their strips.
 */
export const crag = flow("crag", { query: "text" }, (f, { query }) => {
  const found = f.node("retrieve", sparse({ store: "sparse", top: 10 }), { query });
  const assessed = f.each("assess", assess, { over: "hit", max: 10 }, { query, hit: found.hits });
  const refined = f.node("refine", hitsUnion(), { lists: assessed.kept });
  const right = f.node("right", listDifference(), {
    list: assessed.choice,
    without: value(["ambiguous", "incorrect"]),
  });
  const { empty } = f.node("count", listCount(), { list: right.list });
  const asked = f.node("rewrite", rewrite({ model: "model" }), { query }, { when: is(empty, true) });
  const web = f.node("web", mcpSearch({ server: "web", optional: true, top: 5 }), { query: asked.query });
  const other = f.node(
    "search",
    dense({ store: "dense", encoder: "encoder", top: 5 }),
    { query: asked.query },
    { when: is(web.available, false) },
  );
  const { hits } = f.node("context", hitsUnion(), { lists: [refined.hits, web.hits, other.hits] });
  const written = f.node("answer", answer({ model: "model" }), { query, hits });
  return { answer: written.answer, text: written.text, corrected: empty, choices: assessed.choice, hits };
});
