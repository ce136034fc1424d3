// public: Measures
import type { Answer, Hit } from "@tessera/core";
import type { Question } from "../data-sets/data-set.js";
import { answerF1, citationPrecision, citationRecall, containsAnswer, exactMatch, rougeL } from "./answers.js";
import { allAt, averagePrecision, ndcgAt, precisionAt, recallAt, reciprocalRank } from "./ranking.js";

/** What is measured of one question, by name; a measure that has no value there is left out. */
export type Measures = Readonly<Record<string, number>>;

/**
 * The ids of hits, best first, each once. A part of a passage of the corpus (a chunk, a sentence) counts as that
 * passage.
 */
export const foundIds = (hits: readonly Hit[], corpusHas: (id: string) => boolean): string[] => [
  ...new Set(hits.map(({ passage: { id, parent } }) => (parent !== undefined && !corpusHas(id) ? parent : id))),
];

/** What is measured of a ranking, where the question has gold passages. MAP, MRR and nDCG see what the flow returned. */
export function rankingMeasures(found: readonly string[], { gold = [] }: Question): Measures {
  const relevant = new Set(gold);
  return defined({
    "recall@1": recallAt(1, found, relevant),
    "recall@5": recallAt(5, found, relevant),
    "recall@20": recallAt(20, found, relevant),
    "all-gold@5": allAt(5, found, relevant),
    "precision@5": precisionAt(5, found, relevant),
    MRR: reciprocalRank(found, relevant),
    MAP: averagePrecision(found, relevant),
    "nDCG@10": ndcgAt(10, found, relevant),
    "retrieval rate": Number(found.length > 0),
  });
}

/**
 * What is measured of an answer: its words where the question has accepted answers, its citations where it has gold
 * passages. A refusal is an empty answer.
 */
export function answerMeasures(given: Answer, { answers, gold = [] }: Question): Measures {
  const text = given.refused ? "" : given.text;
  const cited = given.citations.map(({ passage }) => passage);
  const relevant = new Set(gold);
  const gilded = relevant.size === 0 ? Number.NaN : 1;
  return defined({
    ...(answers &&
      answers.length > 0 && {
        EM: exactMatch(text, answers),
        F1: answerF1(text, answers),
        accuracy: containsAnswer(text, answers),
        "ROUGE-L": rougeL(text, answers),
      }),
    "cites gold first": gilded * Number(cited.length > 0 && relevant.has(cited[0]!)),
    "cites gold": gilded * Number(cited.some((id) => relevant.has(id))),
    "citation precision": relevant.size === 0 ? Number.NaN : citationPrecision(cited, relevant),
    "citation recall": citationRecall(cited, relevant),
    refuses: Number(given.refused),
  });
}

const defined = (values: Record<string, number>): Measures =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => !Number.isNaN(value)));
