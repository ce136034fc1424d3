// public: Asked, AskedWord, askedIn, languagesOfTexts, pieceWeight
import { functionWordsOf, type Language, languages, languagesOf } from "./languages.js";
import { stemOf } from "./stems.js";
import { words } from "./words.js";

/** A question as the words that it asks for. */
export interface Asked {
  /** Those that it may be in: what it was told, else what its function words say, else those of the texts. */
  readonly languages: readonly Language[];
  /** Each different word, in order. */
  readonly words: ReadonlyMap<string, AskedWord>;
}

/** A word of a question, and what it counts for. */
export interface AskedWord {
  /** How often it stands in the question. */
  readonly times: number;
  /** Whether it says more than how something is asked. */
  readonly content: boolean;
  /** Whether it is but a piece of a word that is asked for: a number of a version, a character of a Chinese word. */
  readonly piece: boolean;
}

/** How much a piece of a word counts beside the word, 1. */
export const pieceWeight = 0.3;

const joinedNumbers = /^\d+(?:[.:/-]\d+)+$/;
const hangul = /^\p{Script=Hangul}+$/u;
const han = /^\p{Script=Han}{2,}$/u;

/** The words that stand in a text only as pieces of this one. */
function piecesOf(word: string): string[] {
  if (han.test(word)) return [...word];
  if (!joinedNumbers.test(word)) return [];
  const beginnings = [...word.matchAll(/[.:/-]/g)].slice(1).map(({ index }) => word.slice(0, index));
  return [...word.split(/[.:/-]/), ...beginnings];
}

/**
 * What a question asks for.
 *
 * @param texts the languages of the texts that are searched, which decide where the question does not
 * @param told the language of the question, where it is known
 */
export function askedIn(question: string, texts: readonly Language[] = [], told?: Language): Asked {
  const list = words(question);
  const found = told ? [told] : languagesOf(list);
  const shared = found.filter((language) => texts.includes(language));
  const likely = told || found.length === 1 ? found : shared.length > 0 ? shared : found.length > 0 ? found : texts;
  const sets = likely.map(functionWordsOf);
  const times = new Map<string, number>();
  const pieces = new Map<string, number>();
  for (const word of list) {
    times.set(word, (times.get(word) ?? 0) + 1);
    for (const piece of piecesOf(word)) pieces.set(piece, (pieces.get(piece) ?? 0) + 1);
  }
  const asked = new Map<string, AskedWord>();
  for (const [word, count] of times)
    asked.set(word, {
      times: count,
      content: !sets.some((set) => set.has(word) || (hangul.test(word) && set.has(stemOf(word, "ko")))),
      piece: (pieces.get(word) ?? 0) >= count,
    });
  return { languages: likely, words: asked };
}

/**
 * The languages that texts are in.
 *
 * @param holders how many of them hold a word
 */
export function languagesOfTexts(holders: (word: string) => number): Language[] {
  const counts = languages.map((language) => {
    let count = 0;
    for (const word of functionWordsOf(language)) count += holders(word);
    return { language, count };
  });
  const most = Math.max(...counts.map(({ count }) => count));
  return counts.filter(({ count }) => count > 0 && count >= 0.6 * most).map(({ language }) => language);
}
