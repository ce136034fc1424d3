// public: extractive
import { type Hit, hits, operator, text } from "@tessera/core";
import { words } from "@tessera/text";
import { z } from "zod";
import { phrasesOf } from "./phrases.js";
import { sentencesOf } from "./sentences.js";
import { cut, shorter, withText } from "./shorten.js";
import { mostInformative } from "./surprisal.js";

/** Less than this many characters of a sentence say nothing. */
const shortest = 40;

/** log(1 + N / n) for the words of the sentences of all passages. */
function rarities(parts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const part of parts) for (const word of new Set(words(part))) counts.set(word, (counts.get(word) ?? 0) + 1);
  return new Map([...counts].map(([word, count]) => [word, Math.log(1 + parts.length / count)]));
}

/** The part of a text of at most `length` characters that begins near the first of the wanted words. */
function excerpt(part: string, wanted: ReadonlySet<string>, length: number): string {
  const matches = [...part.matchAll(/[\p{L}\p{N}_]+/gu)].filter(([word]) => words(word).some((own) => wanted.has(own)));
  const from = Math.max(0, Math.min((matches[0]?.index ?? 0) - Math.floor(length / 4), part.length - length));
  const start = from === 0 ? 0 : from + Math.max(0, part.slice(from).search(/\s/));
  return cut(part.slice(start).trimStart(), length);
}

/** The phrases that tell most, and fit. */
function telegram(text: string, wanted: ReadonlySet<string>, room: number): string {
  const phrases = phrasesOf(text, wanted);
  const units = phrases.map((phrase) => ({ size: phrase.text.length, information: phrase.information }));
  return mostInformative(units, room)
    .map((place) => phrases[place]!.text)
    .join("")
    .trim();
}

/**
 * Extractive compression, the one that needs no model: each passage keeps at most `ratio` of its characters. By
 * "sentence" it keeps sentences (lines of code) with their wording, those whose words the query shares, weighted by their
 * rarity among all the sentences; of the first that does not fit, the part around the query's words. By "phrase" it
 * becomes a telegram of English prose: names and numbers first, then other words by how near they stand to the query's,
 * and function words last; that keeps more answers (docs/evaluation.md, row 30), and is no text to quote. Order is kept.
 * Every passage becomes strictly shorter (equation 13). It is not LLMLingua: that is `reranker.compress`.
 */
export const extractive = operator({
  name: "reranker.extractive",
  version: 1,
  about: {
    module: "post-retrieval",
    submodule: "compression",
    paper: "Modular RAG, equation 13",
    summary: "Keeps of each passage the sentences or phrases that the query asks for, without a model.",
  },
  config: z.strictObject({
    ratio: z.number().gt(0).lt(1).default(0.5),
    unit: z.enum(["sentence", "phrase"]).default("sentence"),
  }),
  ports: { input: { query: text, hits }, output: { hits } },
  effects: "none",
  setup:
    ({ ratio, unit }) =>
    ({ query, hits: found }) => {
      const wanted = new Set(words(query));
      if (unit === "phrase")
        return {
          hits: found.map((hit) => {
            const { text } = hit.passage;
            return withText(hit, shorter(text, telegram(text, wanted, Math.floor(text.length * ratio))));
          }),
        };
      const split = found.map(({ passage }) => sentencesOf(passage.text));
      const rarity = rarities(split.flat());
      const compress = (hit: Hit, parts: readonly string[]): Hit => {
        const { text } = hit.passage;
        const worth = parts.map((part) =>
          [...new Set(words(part))].reduce((sum, word) => sum + (wanted.has(word) ? rarity.get(word)! : 0), 0),
        );
        const order = [...parts.keys()].sort((a, b) => worth[b]! - worth[a]! || a - b);
        let room = Math.floor(text.length * ratio);
        const kept = new Map<number, string>();
        for (const place of order) {
          const part = parts[place]!;
          const fits = part.trimEnd().length <= room;
          if (!fits && kept.size > 0 && room < shortest) continue;
          kept.set(place, fits ? part : excerpt(part, wanted, room));
          room -= part.length;
        }
        const part = parts
          .map((_, place) => kept.get(place) ?? "")
          .join("")
          .trim();
        return withText(hit, shorter(text, part));
      };
      return { hits: found.map((hit, index) => compress(hit, split[index]!)) };
    },
});
