// public: extract
import { type Answer, answer, cite, flag, hits, operator, text } from "@tessera/core";
import { z } from "zod";
import { Question } from "./coverage.js";
import { blockOf, look, scoreOf } from "./quotes.js";

/**
 * Answers without a model: it picks the passages that cover the question best, and quotes the place, the description,
 * the signature and the lines of code, or the sentences, that say so. Coverage is the share of the question's stems
 * that a passage holds, identifiers split into their parts, so that "backed off" finds `backoff`.
 * It refuses where no passage covers `least` of the question. Streams each block of the answer at `text`.
 */
export const extract = operator({
  name: "generator.extract",
  version: 1,
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
    refusal: z.string().default("Nothing that was found answers this question."),
  }),
  ports: { input: { query: text, hits }, output: { answer, text, refused: flag } },
  effects: "none",
  setup: (config) => (input, context) => {
    const question = new Question(input.query);
    const found = input.hits.map(({ passage }) => look(passage, question));
    const weights = question.weights(found.map(({ all }) => all));
    const ranked = found
      .map((member, index) => ({ ...member, ...scoreOf(member, index, question, weights) }))
      .filter(({ coverage }) => coverage >= config.least)
      .sort((a, b) => b.score - a.score);
    const chosen: typeof ranked = [];
    const places = new Set<string>();
    for (const member of ranked) {
      const { source, id } = member.passage;
      const place = source?.symbol === undefined ? id : `${source.path}#${source.symbol}`; // parts of one definition
      if (places.has(place) || member.score < 0.6 * ranked[0]!.score || chosen.length === config.passages) continue;
      places.add(place);
      chosen.push(member);
    }

    const blocks: string[] = [];
    const add = (block: string): void => {
      const separator = blocks.length > 0 ? "\n\n" : "";
      blocks.push(separator + block);
      context.emit("text", separator + block);
    };
    for (const [index, member] of chosen.entries())
      add(blockOf(member, `[${index + 1}]`, question, weights, config.quotes));
    if (chosen.length === 0) add(config.refusal);
    const written: Answer = {
      text: blocks.join(""),
      citations: chosen.map(({ passage }, index) => cite(index + 1, passage)),
      refused: chosen.length === 0,
    };
    return { answer: written, text: written.text, refused: written.refused };
  },
});
