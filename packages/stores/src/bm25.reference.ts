// internal: referenceBm25
import type { Passage, StoreQuery } from "@tessera/core";
import { admits } from "@tessera/core/internal";
import { words } from "@tessera/text";
import type { Bm25Settings } from "./bm25.js";

/** What BM25 reads of a passage. */
export const indexedText = ({ title, text }: Passage): string => (title === undefined ? text : `${title}\n${text}`);

/**
 * BM25 by its formula alone, the oracle of `Bm25Store`:
 * score(q, d) = Σ over the words t of q: idf(t) · qf · tf (k1 + 1) / (tf + k1 (1 − b + b · |d| / average |d|)),
 * idf(t) = ln(1 + (N − df + 0.5) / (df + 0.5)) (Robertson and Zaragoza 2009, with the idf of Lucene, never negative).
 * Without an end to k1 the last factor is its limit, tf / (1 − b + b · |d| / average |d|).
 * N, df and the average are of all passages; the filter and the principal only decide what is returned.
 */
export function referenceBm25(
  passages: readonly Passage[],
  { k1 = 1.2, b = 0.75 }: Bm25Settings = {},
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

  return ({ text = "", top, filter, principal }) => {
    const asked = count(words(text));
    return documents
      .filter(({ passage }) => admits(passage, filter, principal))
      .map(({ passage, frequencies, length }) => {
        let score = 0;
        for (const [word, occurrences] of asked) {
          const frequency = frequencies.get(word) ?? 0;
          if (frequency === 0) continue;
          const df = holders.get(word)!;
          const idf = Math.log(1 + (documents.length - df + 0.5) / (df + 0.5));
          const norm = 1 - b + (b * length) / average;
          const weight = Number.isFinite(k1) ? (frequency * (k1 + 1)) / (frequency + k1 * norm) : frequency / norm;
          score += idf * occurrences * weight;
        }
        return { id: passage.id, score };
      })
      .filter(({ score }) => score > 0)
      .sort((x, y) => y.score - x.score || (x.id < y.id ? -1 : 1))
      .slice(0, top);
  };
}
