// public: extract
import { type Answer, answer, cite, flag, hits, operator, type Passage, text } from "@tessera/core";
import { type Language, languages } from "@tessera/text";
import { z } from "zod";
import { Question } from "./coverage.js";
import { look, type Quoted, quoted, scoreOf, textsOf } from "./quotes.js";

/**
 * Answers without a model: it picks the passages that cover the question best, and quotes the place, the description,
 * the signature and the lines of code, or the sentences, that say so. Coverage is the share of the question's words
 * that a passage holds in one form or another, identifiers split into their parts, so that "backed off" finds `backoff`.
 * A heading counts with what stands below it, and is never quoted alone. Passages that say the same take one place, and
 * its citation names the others. It refuses where no passage covers `least` of the question. Streams each block of the answer at `text`.
 */
export const extract = operator({
  name: "generator.extract",
  version: 2,
  about: {
    module: "generation",
    submodule: "generation",
    summary: "Answers with the sentences, signatures and lines that cover the question best, without a model.",
  },
  config: z.strictObject({
    /** The most passages that are cited. */
    passages: z.int().positive().default(3),
    /** The most sentences, or lines of a body, that are quoted from a passage. */
    quotes: z.int().positive().default(3),
    /** The share of the question that the best passage must cover, from 0 to 1. */
    least: z.number().min(0).max(1).default(0.4),
    /** The language of the questions; by default what their words say, or else those of the passages. */
    language: z.enum(languages as [Language, ...Language[]]).optional(),
    refusal: z.string().default("Nothing that was found answers this question."),
  }),
  ports: { input: { query: text, hits }, output: { answer, text, refused: flag } },
  effects: "none",
  setup: (config) => (input, context) => {
    const texts = input.hits.map(({ passage }) => textsOf(passage));
    const question = new Question(input.query, { language: config.language, texts });
    const found = input.hits.map(({ passage }) => look(passage, question));
    const weights = question.weights(found.map(({ all }) => all));
    const scored = found.map((member, index) => ({ ...member, ...scoreOf(member, index, question, weights) }));
    const answers = scored.some(({ coverage }) => coverage >= config.least);
    // beside an answer stand places that say less of it
    const ranked = scored
      .filter(({ coverage }) => answers && coverage >= config.least / 2)
      .sort((a, b) => b.score - a.score);
    const chosen: { passage: Passage; quote: Quoted; copies: Passage[] }[] = [];
    const places = new Set<string>();
    for (const member of ranked) {
      const { passage, score } = member;
      const { source, id } = passage;
      const place = source?.symbol === undefined ? id : `${source.path}#${source.symbol}`; // parts of one definition
      if (places.has(place)) continue;
      const quote = quoted(member, question, weights, config.quotes);
      const same = chosen.find((other) => other.quote.said === quote.said);
      if (same) same.copies.push(passage);
      else if (score < 0.4 * ranked[0]!.score || chosen.length === config.passages) continue;
      else chosen.push({ passage, quote, copies: [] });
      places.add(place);
    }

    const blocks: string[] = [];
    const add = (block: string): void => {
      const separator = blocks.length > 0 ? "\n\n" : "";
      blocks.push(separator + block);
      context.emit("text", separator + block);
    };
    for (const [index, { quote }] of chosen.entries()) add(quote.block(`[${index + 1}]`));
    if (chosen.length === 0) add(config.refusal);
    const written: Answer = {
      text: blocks.join(""),
      citations: chosen.map(({ passage, copies }, index) => cite(index + 1, passage, copies)),
      refused: chosen.length === 0,
    };
    return { answer: written, text: written.text, refused: written.refused };
  },
});
