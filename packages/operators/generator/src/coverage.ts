import { askedIn, formsOf, type Language, languagesOf, stemOf, WordList, words } from "@tessera/text";

// words that say how something is asked of code, and not what about
const asking = new Set(
  `code codebase project repository file files please tell show explain find use used uses using
  defined implemented located happen happens work works there`.split(/\s+/),
);

/** What an answer without a model is told, besides its question. */
interface QuestionSettings {
  /** The language of the question; by default what its words say, or else those of the texts. */
  readonly language?: Language | undefined;
  /** The texts that it is asked of, where they are known. */
  readonly texts?: readonly string[];
}

/**
 * A question as the words that matter. A text holds a word where it has one of its forms (see `formsOf`), and two
 * neighbours where it has them as one word: "backed off" is also `backoff`.
 */
export class Question {
  readonly terms: readonly string[];
  readonly #languages: readonly Language[];
  readonly #pairs: readonly { readonly joined: string; readonly terms: readonly string[] }[];
  readonly #held = new Map<string, readonly string[]>(); // by a word of a text: the terms that it is a form of

  constructor(
    readonly text: string,
    { language, texts = [] }: QuestionSettings = {},
  ) {
    const question = text;
    const known = texts.flatMap((text) => words(text));
    const { languages, words: asked } = askedIn(question, languagesOf(known), language);
    this.#languages = languages.length > 0 ? languages : ["en"];
    const whole = [...asked].filter(([, { piece }]) => !piece);
    const content = whole.filter(([word, { content }]) => content && !asking.has(word));
    const stems = new Map<string, string>();
    for (const [word] of content.length > 0 ? content : whole) {
      const stem = stemOf(word, this.#languages[0]!);
      if (!stems.has(stem)) stems.set(stem, word);
    }
    this.terms = [...stems.values()];
    const stemmed = (word: string) => stems.get(stemOf(word, this.#languages[0]!));
    const list = words(question);
    this.#pairs = list.slice(1).flatMap((next, index) => {
      const pair = [list[index]!, next].map(stemmed);
      if (pair.includes(undefined) || pair[0] === pair[1]) return [];
      const joined = [list[index]!, next].map((word) => stemOf(word, this.#languages[0]!)).join("");
      return [{ joined, terms: pair as string[] }];
    });
    this.#learn(known);
  }

  /** The terms that a text holds. */
  in(text: string): Set<string> {
    const list = words(text);
    this.#learn(list);
    const found = new Set<string>();
    for (const word of list) for (const term of this.#held.get(word)!) found.add(term);
    return found;
  }

  /** Looks what words that were not met before are forms of. */
  #learn(list: readonly string[]): void {
    const fresh = new Set(list.filter((word) => !this.#held.has(word)));
    if (fresh.size === 0) return;
    const vocabulary = new WordList(fresh);
    const found = new Map<string, string[]>([...fresh].map((word) => [word, []]));
    for (const term of this.terms)
      for (const form of formsOf(term, this.#languages, vocabulary).keys()) found.get(form)?.push(term);
    for (const { joined, terms } of this.#pairs)
      for (const word of fresh)
        if (
          word.length >= joined.length &&
          this.#languages.some((language) => stemOf(word, language) === stemOf(joined, language))
        )
          found.get(word)!.push(...terms);
    for (const [word, terms] of found) this.#held.set(word, terms);
  }

  /**
   * What each term weighs; the weights sum to 1. A term that no text holds weighs most: of two, one that is held and one
   * that is not are less than `least` of `generator.extract`. The slope among the others is gentle, because the texts
   * were found by these very terms.
   */
  weights(texts: readonly ReadonlySet<string>[]): Weights {
    const raw = this.terms.map((term) => {
      const holding = texts.filter((text) => text.has(term)).length;
      return holding === 0 ? 1.8 : 1.2 - (0.5 * holding) / texts.length;
    });
    const sum = raw.reduce((a, b) => a + b, 0);
    return new Map(this.terms.map((term, index) => [term, raw[index]! / sum]));
  }
}

/** The weight of each term of a question. */
export type Weights = ReadonlyMap<string, number>;

/** The weight of a set of terms, from 0 to 1. */
export const weigh = (terms: Iterable<string>, weights: Weights): number => {
  let sum = 0;
  for (const term of terms) sum += weights.get(term) ?? 0;
  return sum;
};
