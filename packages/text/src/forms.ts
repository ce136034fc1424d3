// public: beginningOf, formsOf, formWeights, Vocabulary, WordList
import { folded } from "./fold.js";
import type { Language } from "./languages.js";
import { stemOf } from "./stems.js";

/** The words that texts hold, as `formsOf` looks for them. Lookups by letters are by folded ones. */
export interface Vocabulary {
  has(word: string): boolean;
  /** The words whose `beginningOf` is these letters. */
  beginning(letters: string): Iterable<string>;
  /** The words that hold some letters, and more than these. */
  holding(letters: string): Iterable<string>;
}

/**
 * How much a form of a word counts beside the word itself, which counts 1: the same but for accents, another inflection,
 * and a compound that it is a part of, or a part of the compound that it is.
 */
export const formWeights = { folded: 0.9, stem: 0.6, part: 0.3 } as const;

const compounding = new Set<Language>(["de", "nl", "sv", "da", "no", "fi", "hu"]);
const linked = /(?:es|s|en|er|n|e)$/; // between the parts of a compound, in one or the other of these languages
const shortestPart = 4;
const hangul = /^\p{Script=Hangul}+$/u;
const noSpaces =
  /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\p{M}ー]{2,}$/u;
const arabic = /^\p{Script=Arabic}/u;
const letters = /^[\p{L}\p{M}]+$/u;
const transliterated: readonly (readonly [RegExp, string])[] = [
  [/ae/g, "a"],
  [/oe/g, "o"],
  [/ue/g, "u"],
];

const ascii = /^[\x20-\x7e]*$/;

/** How a word must begin to be a form of another one, in folded letters: three, two of Arabic, one where a character is a syllable. */
export function beginningOf(word: string): string {
  if (ascii.test(word)) return word.slice(0, 3);
  if (hangul.test(word) || noSpaces.test(word)) return word.slice(0, 1);
  return folded(word).slice(0, arabic.test(word) ? 2 : 3);
}

/** The German umlauts that a word may be written without: "moewe" is also "mowe", which "möwe" is in folded letters. */
function withoutUmlauts(word: string): string {
  let result = folded(word);
  for (const [pair, letter] of transliterated) result = result.replace(pair, letter);
  return result;
}

/**
 * The words of a vocabulary that stand for a word that is asked for, each with its weight; the word itself, where the
 * vocabulary has it, with 1. The heaviest come first.
 *
 * @param word a word as `words` gives it
 * @param languages those that the question or the texts may be in
 */
export function formsOf(word: string, languages: readonly Language[], vocabulary: Vocabulary): Map<string, number> {
  const forms = new Map<string, number>();
  const add = (form: string, weight: number) => {
    if (weight > (forms.get(form) ?? 0)) forms.set(form, weight);
  };
  if (vocabulary.has(word)) add(word, 1);
  if (!letters.test(word)) return forms;
  if (noSpaces.test(word)) addUnspaced(word, vocabulary, add);
  else if (word.length >= 3 || hangul.test(word)) {
    addInflected(word, languages, vocabulary, add);
    if (hangul.test(word) && languages.includes("ko")) addParts(stemOf(word, "ko"), "ko", 2, vocabulary, add);
    for (const language of languages)
      if (compounding.has(language) && word.length >= shortestPart)
        addParts(word, language, shortestPart, vocabulary, add);
  }
  return new Map([...forms].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)));
}

type Add = (form: string, weight: number) => void;

function addInflected(word: string, languages: readonly Language[], vocabulary: Vocabulary, add: Add): void {
  const plain = folded(word);
  const spelled = languages.includes("de") ? withoutUmlauts(word) : plain;
  const stems = languages.map((language) => [language, stemOf(word, language)] as const);
  const starts = new Set([beginningOf(word), beginningOf(spelled)]);
  // the Arabic article stands at the beginning
  if (arabic.test(word)) for (const [, stem] of stems) starts.add(beginningOf(stem)).add("ال");
  const candidates = new Set<string>();
  for (const start of starts) for (const candidate of vocabulary.beginning(start)) candidates.add(candidate);
  // where accents were left out, the word that has them knows its stem
  for (const candidate of candidates) {
    if (candidate === word || !letters.test(candidate)) continue;
    const own = folded(candidate);
    if (own !== plain && own !== spelled) continue;
    add(candidate, formWeights.folded);
    for (const language of languages) stems.push([language, stemOf(candidate, language)]);
  }
  for (const candidate of candidates)
    if (letters.test(candidate) && stems.some(([language, stem]) => stemOf(candidate, language) === stem))
      add(candidate, formWeights.stem);
}

/** Compounds that hold the word at their beginning or end, and the parts of the word where it is one. */
function addParts(word: string, language: Language, shortest: number, vocabulary: Vocabulary, add: Add): void {
  const stem = stemOf(word, language);
  const isWord = (rest: string): boolean =>
    [...rest].length >= shortest ||
    (rest.length > 2 && (vocabulary.has(rest) || vocabulary.has(rest.replace(linked, ""))));
  const spelled = folded(word);
  const held = stem.length >= shortest ? stem : spelled; // "daten" has the stem "dat", which much begins with
  if (held.length >= shortest || word.length < shortest)
    for (const candidate of vocabulary.holding(held)) {
      if (!letters.test(candidate)) continue;
      const plain = folded(candidate);
      const own = stemOf(candidate, language);
      if (own === stem) continue;
      const rest = plain.startsWith(held)
        ? plain.slice(spelled.length)
        : own.endsWith(stem)
          ? own.slice(0, -stem.length)
          : "";
      if (rest !== "" && isWord(rest)) add(candidate, formWeights.part);
    }
  for (let at = shortest - 1; at <= word.length - shortest; at++) {
    const [left, right] = [word.slice(0, at), word.slice(at)];
    const heads = [left, left.replace(linked, "")].filter(
      (head) => head.length >= shortest - 1 && vocabulary.has(head),
    );
    const tails = [...vocabulary.beginning(beginningOf(right))].filter(
      (tail) => letters.test(tail) && stemOf(tail, language) === stemOf(right, language),
    );
    if (tails.length > 0 && (heads.length > 0 || left.length >= shortest))
      for (const tail of tails) add(tail, formWeights.part);
    if (tails.length > 0) for (const head of heads) add(head, formWeights.part);
  }
}

/** Dictionaries part one run in one way and another in another: what holds the word, and what the word holds. */
function addUnspaced(word: string, vocabulary: Vocabulary, add: Add): void {
  for (const candidate of vocabulary.holding(word)) if (noSpaces.test(candidate)) add(candidate, formWeights.part);
  for (let from = 0; from < word.length; from++)
    for (let to = from + 2; to <= word.length; to++) {
      const part = word.slice(from, to);
      if (part !== word && vocabulary.has(part)) add(part, formWeights.part);
    }
}

/** A vocabulary of some words, for texts that are at hand. */
export class WordList implements Vocabulary {
  readonly #words: ReadonlySet<string>;
  readonly #beginnings = new Map<string, string[]>();

  constructor(words: Iterable<string>) {
    this.#words = new Set(words);
    for (const word of this.#words) {
      const start = beginningOf(word);
      const known = this.#beginnings.get(start);
      if (known) known.push(word);
      else this.#beginnings.set(start, [word]);
    }
  }

  has(word: string): boolean {
    return this.#words.has(word);
  }

  beginning(letters: string): Iterable<string> {
    return this.#beginnings.get(letters) ?? [];
  }

  *holding(letters: string): Iterable<string> {
    for (const word of this.#words) {
      const plain = folded(word);
      if (plain.length > letters.length && plain.includes(letters)) yield word;
    }
  }
}
