import { first, flow, is, value } from "@tessera/core";
import { listAppend, listCount, listFlatten, numberSummary } from "@tessera/data";
import { answer, claims, instruct, support } from "@tessera/generator";
import { sparse } from "@tessera/retriever";

const example = flow("example", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("retrieve", sparse({ store: "sparse", top: 5 }), { query });
  const written = f.node("answer", answer({ model: "model" }), { query, hits });
  const stated = f.node("claims", claims(), { text: written.text });
  const { score } = f.node("support", support(), { claims: stated.claims, hits });
  const input = { query, hits, answer: written.answer };
  const instructed = f.node("instruct", instruct(), input);
  const distilled = f.node("distil", instruct({ teacher: "model" }), input);
  const { empty } = f.node("count", listCount(), { list: distilled.records });
  const kept = f.node(
    "kept",
    listAppend({ of: "number" }),
    { list: value([]), item: score },
    { when: is(empty, false) },
  );
  return {
    instructions: instructed.records,
    distilled: distilled.records,
    score,
    kept: first(kept.list, value([])),
  };
});

/**
 * Tuning of a generator: each question is retrieved for and answered, and the answers become chats to learn from:
 * `instructions` has all of them, `distilled` only those of the model as a teacher that cite what they read, or refuse.
 * Modular RAG, section V (generator fine-tuning) and operator 26. `before` and `after` say how far the passages bear out what
 * is said (`generator.support`, from 0 to 1, by words alone), over all answers and over those that are distilled. `tessera
 * run … --out <folder>` writes the records as files for other programs to train on, one question in ten as a test.
 */
export const tuneGenerator = flow("tune-generator", { queries: { list: "text" } }, (f, { queries }) => {
  const made = f.each("example", example, { over: "query", concurrency: 4, max: 1000 }, { query: queries });
  const instructions = f.node("instructions", listFlatten(), { lists: made.instructions });
  const distilled = f.node("distilled", listFlatten(), { lists: made.distilled });
  const kept = f.node("kept", listFlatten({ of: "number" }), { lists: made.kept });
  return {
    instructions: instructions.list,
    distilled: distilled.list,
    before: f.node("before", numberSummary(), { list: made.score }).mean,
    after: f.node("after", numberSummary(), { list: kept.list }).mean,
  };
});
