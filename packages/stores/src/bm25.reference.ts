// internal: referenceBm25
import type { Passage, StoreQuery } from "@tessera/core";
import { admits } from "@tessera/core/internal";
import { askedIn, formsOf, languagesOfTexts, pieceWeight, WordList, words } from "@tessera/text";
import type { Bm25Settings } from "./bm25.js";
import { indexedText } from "./indexed-text.js";

/**
 * BM25 by its formula alone, the oracle of `Bm25Store`:
 * score(q, d) = Σ over the words t of q and their forms: w(t) · idf(t) · qf · tf (k1 + 1) / (tf + k1 (1 − b + b · |d| / average |d|)),
 * idf(t) = ln(1 + (N − df + 0.5) / (df + 0.5)) (Robertson and Zaragoza 2009, with the idf of Lucene, never negative).
 * Without an end to k1 the last factor is its limit, tf / (1 − b + b · |d| / average |d|).
 * w is 1 for a word itself, and `formWeights` for its other forms, whose idf is at most that of the word, or of the most
 * frequent form where no passage has the word itself. N, df and the average are of all passages; the filter and the principal only decide what is returned.
 */
export function referenceBm25(
  passages: readonly Passage[],
  { k1 = 1.2, b = 0.75, language, forms: all = true }: Bm25Settings = {},
): (query: StoreQuery) => { id: string; score: number }[] {
  const count = (list: string[]) => {
    const counts = new Map<string, number>();
    for (const member of list) counts.set(member, (counts.get(member) ?? 0) + 1);
    return counts;
  };
  const documents = passages.map((passage) => {
    const found = words(indexedText(passage));
    return { passage, frequencies: count(found), length: found.length };
  });
  const average = documents.reduce((sum, { length }) => sum + length, 0) / documents.length;
  const holders = count(documents.flatMap(({ frequencies }) => [...frequencies.keys()]));

  const vocabulary = new WordList(holders.keys());
  const languages = languagesOfTexts((word) => holders.get(word) ?? 0);
  const idf = (word: string): number => {
    const df = holders.get(word) ?? 0;
    return Math.log(1 + (documents.length - df + 0.5) / (df + 0.5));
  };
  const weightsOf = (text: string) => {
    const weights = new Map<string, number>();
    const asked = askedIn(text, languages, language);
    for (const [word, { times, content, piece }] of asked.words) {
      const forms = all && content ? formsOf(word, asked.languages, vocabulary) : new Map([[word, 1]]);
      const most = holders.has(word) ? idf(word) : Math.min(...[...forms.keys()].map(idf));
      for (const [form, weight] of forms)
        weights.set(
          form,
          (weights.get(form) ?? 0) + Math.min(idf(form), most) * times * weight * (piece ? pieceWeight : 1),
        );
    }
    return weights;
  };

  return ({ text = "", top, filter, principal }) => {
    const asked = weightsOf(text);
    return documents
      .filter(({ passage }) => admits(passage, filter, principal))
      .map(({ passage, frequencies, length }) => {
        let score = 0;
        for (const [word, weighs] of asked) {
          const frequency = frequencies.get(word) ?? 0;
          if (frequency === 0) continue;
          const norm = 1 - b + (b * length) / average;
          const weight = Number.isFinite(k1) ? (frequency * (k1 + 1)) / (frequency + k1 * norm) : frequency / norm;
          score += weighs * weight;
        }
        return { id: passage.id, score };
      })
      .filter(({ score }) => score > 0)
      .sort((x, y) => y.score - x.score || (x.id < y.id ? -1 : 1))
      .slice(0, top);
  };
}
