import { stemOf, words } from "@tessera/text";

// words that say how something is asked, and not what about
const stopWords = new Set(
  `a an and any are as at be been being but by can could did do does doing done each for from had has have how i if in
  into is it its me my of on one or our should so some such than that the their them then there these they this those
  to us use used uses using was we were what when where which who whom whose why will with would you your
  code codebase project repository file files please tell show explain find
  defined implemented located happen happens work works there`.split(/\s+/),
);

/** The stems of a text's words and identifiers. */
export const stemsOf = (text: string): string[] => words(text).map((word) => stemOf(word, "en"));

/** A question as the stems that matter, and neighbours that may stand as one word: "backed off" is also `backoff`. */
export class Question {
  readonly terms: readonly string[];
  private readonly compounds = new Map<string, readonly string[]>();

  constructor(question: string) {
    const asked = words(question);
    const content = asked.filter((word) => !stopWords.has(word));
    this.terms = [...new Set((content.length > 0 ? content : asked).map((word) => stemOf(word, "en")))];
    const kept = new Set(this.terms);
    for (const [index, word] of asked.slice(0, -1).entries()) {
      const pair = [stemOf(word, "en"), stemOf(asked[index + 1]!, "en")] as const;
      if (pair.every((stem) => kept.has(stem))) this.compounds.set(stemOf(pair.join(""), "en"), pair);
    }
  }

  /** The terms that a text holds. */
  in(text: string): Set<string> {
    const found = new Set<string>();
    const held = new Set(stemsOf(text));
    for (const term of this.terms) if (held.has(term)) found.add(term);
    for (const [compound, pair] of this.compounds) if (held.has(compound)) for (const term of pair) found.add(term);
    return found;
  }

  /**
   * What each term weighs; the weights sum to 1. A term that no text holds weighs most, and one that all hold half of
   * that. The slope is gentle, because the texts were found by these very terms.
   */
  weights(texts: readonly ReadonlySet<string>[]): Weights {
    const raw = this.terms.map((term) => {
      const holding = texts.filter((text) => text.has(term)).length;
      return holding === 0 ? 1.5 : 1.25 - (0.5 * holding) / texts.length;
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
