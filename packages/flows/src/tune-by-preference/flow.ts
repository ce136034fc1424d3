import { flow } from "@tessera/core";
import { listFlatten, numberSummary } from "@tessera/data";
import { answer, claims, prefer, support } from "@tessera/generator";
import { sparse } from "@tessera/retriever";

const judged = flow("judged", { text: "text", hits: "hits" }, (f, { text, hits }) => {
  const stated = f.node("claims", claims(), { text });
  return { score: f.node("support", support(), { claims: stated.claims, hits }).score };
});

const otherwise = "Answer in your own words, in a whole sentence.";

const example = flow("example", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("retrieve", sparse({ store: "sparse", top: 5 }), { query });
  const plain = f.node("plain", answer({ model: "model" }), { query, hits });
  const varied = f.node("varied", answer({ model: "model", temperature: 1, instructions: otherwise }), { query, hits });
  const scores = [
    f.node("judge-plain", judged, { text: plain.text, hits }).score,
    f.node("judge-varied", judged, { text: varied.text, hits }).score,
  ];
  const { records } = f.node("export", prefer(), { query, hits, answers: [plain.answer, varied.answer], scores });
  const { most } = f.node("best", numberSummary(), { list: scores });
  return { records, plain: scores[0]!, best: most };
});

/**
 * Tuning of a generator by preference: each question is answered twice, plainly, and in other words at temperature 1; where the
 * passages bear out one answer more than the other the two are a pair, chosen and rejected, for DPO or the like (`--out <folder>` writes them as files). Modular
 * RAG, section V (generator fine-tuning) and operator 27. The judge is `generator.support`, which reads words; `generator.verify`
 * in its place asks a model. `before` is the mean score of the plain answers, `after` that of the better of two.
 */
export const tuneByPreference = flow("tune-by-preference", { queries: { list: "text" } }, (f, { queries }) => {
  const made = f.each("example", example, { over: "query", concurrency: 4, max: 1000 }, { query: queries });
  const { list } = f.node("pairs", listFlatten(), { lists: made.records });
  return {
    pairs: list,
    before: f.node("before", numberSummary(), { list: made.plain }).mean,
    after: f.node("after", numberSummary(), { list: made.best }).mean,
  };
});
