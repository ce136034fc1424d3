// public: extract
import { type Answer, answer, flag, hits, number, operator, text } from "@tessera/core";
import { type Language, languages } from "@tessera/text";
import { z } from "zod";
import { aside, type Candidate, choose, citationOf, described, scaled } from "./candidates.js";
import { Question } from "./coverage.js";
import { answersBy, evidenceOf, isAside, look, quoted, textsOf } from "./quotes.js";

/**
 * Answers without a model: it takes the passages as they are ranked, and quotes the place, the description, the signature
 * and the lines of code, or the sentences, that cover the question best. What covers it by its description or one sentence is
 * moved forward a little, tests and what others wrote back. Functions that stand side by side in a file are one place.
 * Passages that say the same take one place, and its citation names the others. A heading counts with what stands below
 * it, and is never quoted alone.
 *
 * It refuses where nothing that was found answers. The evidence of a passage is its coverage, the share of the question's
 * words that it holds in one form or another, identifiers split into their parts, so that "backed off" finds `backoff`:
 * at least `least` is needed. Where `similarities` says how near a passage is to the question (as `reranker.closer` does),
 * similarity + coverage / 2 must be at least `leastNear`, so that a question in other words is answered too. Streams each
 * block of the answer at `text`.
 */
export const extract = operator({
  name: "generator.extract",
  version: 3,
  about: {
    module: "generation",
    submodule: "generation",
    summary: "Answers with the sentences, signatures and lines that cover the question best, without a model.",
  },
  config: z.strictObject({
    /** The most places that are cited. */
    passages: z.int().positive().default(3),
    /** The most sentences, or lines of a body, that are quoted from a passage. */
    quotes: z.int().positive().default(3),
    /** The share of the question that the best passage must cover, from 0 to 1. */
    least: z.number().min(0).max(1).default(0.4),
    /** What similarity and half of the coverage must come to, where similarities are known. */
    leastNear: z.number().min(0).default(0.48),
    /** The language of the questions; by default what their words say, or else those of the passages. */
    language: z.enum(languages as [Language, ...Language[]]).optional(),
    refusal: z.string().default("Nothing that was found answers this question."),
  }),
  ports: {
    input: { query: text, hits, similarities: z.record(z.string(), number).optional() },
    output: { answer, text, refused: flag },
  },
  effects: "none",
  setup: (config) => (input, context) => {
    const texts = input.hits.map(({ passage }) => textsOf(passage));
    const question = new Question(input.query, { language: config.language, texts });
    const found = input.hits.map(({ passage }) => look(passage, question));
    const weights = question.weights(found.map(({ all }) => all));
    const scores = scaled(input.hits);
    const candidates = found.map((member, index): Candidate => {
      const evidence = evidenceOf(member, question, weights);
      const { id } = member.passage;
      const near = input.similarities ?? {};
      const similarity = Object.hasOwn(near, id) ? near[id] : undefined;
      const back = isAside(member.passage) ? aside : 0;
      return {
        ...member,
        score: scores[index]! + described * (evidence?.about ?? 0) - back,
        evidence: answersBy(evidence, { similarity, ...config }),
      };
    });
    const answers = candidates.some(({ evidence }) => evidence >= 1);
    // beside an answer stand places that say less of it
    const ranked = answers
      ? candidates.filter(({ evidence }) => evidence >= 0.5).sort((a, b) => b.score - a.score)
      : [];
    const chosen = choose(ranked, config.passages, (member) => quoted(member, question, weights, config.quotes));

    const blocks: string[] = [];
    const add = (block: string): void => {
      const separator = blocks.length > 0 ? "\n\n" : "";
      blocks.push(separator + block);
      context.emit("text", separator + block);
    };
    for (const [index, { quotes }] of chosen.entries()) for (const quote of quotes) add(quote.block(`[${index + 1}]`));
    if (chosen.length === 0) add(config.refusal);
    const written: Answer = {
      text: blocks.join(""),
      citations: chosen.map(({ place, copies }, index) => citationOf(index + 1, place, copies)),
      refused: chosen.length === 0,
    };
    return { answer: written, text: written.text, refused: written.refused };
  },
});
