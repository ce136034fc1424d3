// public: exactMatch, containsAnswer, answerF1, rougeL, citationPrecision, citationRecall
import { answerWords, normalAnswer } from "@tessera/text";

/** 1 where the answer equals one of the accepted ones in normal form, else 0. */
export const exactMatch = (given: string, accepted: readonly string[]): number =>
  Number(accepted.some((answer) => normalAnswer(answer) === normalAnswer(given)));

/** 1 where the answer holds one of the accepted ones as a run of words, else 0 ("accuracy" of long answers). */
export const containsAnswer = (given: string, accepted: readonly string[]): number =>
  Number(
    accepted.some(
      (answer) => normalAnswer(answer) !== "" && ` ${normalAnswer(given)} `.includes(` ${normalAnswer(answer)} `),
    ),
  );

/** The best harmonic mean of precision and recall over words, counted as bags, against the accepted answers. */
export const answerF1 = (given: string, accepted: readonly string[]): number =>
  Math.max(0, ...accepted.map((answer) => bagF1(normalAnswer(given), normalAnswer(answer))));

function bagF1(given: string, wanted: string): number {
  const [left, right] = [given, wanted].map((text) => text.split(" ").filter(Boolean)) as [string[], string[]];
  if (left.length === 0 || right.length === 0) return Number(left.length === right.length);
  const counts = new Map<string, number>();
  for (const word of right) counts.set(word, (counts.get(word) ?? 0) + 1);
  let common = 0;
  for (const word of left) {
    const count = counts.get(word) ?? 0;
    if (count === 0) continue;
    counts.set(word, count - 1);
    common++;
  }
  if (common === 0) return 0;
  const [precision, recall] = [common / left.length, common / right.length];
  return (2 * precision * recall) / (precision + recall);
}

/**
 * ROUGE-L (Lin 2004): the best harmonic mean of precision and recall of the longest common subsequence of words, against
 * the accepted answers. Words are runs of letters and digits in lower case, and numbers and names with their signs;
 * citation markers and emphasis are none.
 */
export const rougeL = (given: string, accepted: readonly string[]): number =>
  Math.max(0, ...accepted.map((answer) => subsequenceF1(answerWords(given), answerWords(answer))));

function subsequenceF1(given: readonly string[], wanted: readonly string[]): number {
  // the longest common subsequence of the words so far with each beginning of `wanted`
  let longest = new Uint32Array(wanted.length + 1);
  for (const word of given) {
    const next = longest.slice();
    for (const [i, other] of wanted.entries())
      next[i + 1] = word === other ? longest[i]! + 1 : Math.max(longest[i + 1]!, next[i]!);
    longest = next;
  }
  const common = longest.at(-1)!;
  return common === 0 ? 0 : (2 * common) / (given.length + wanted.length);
}

/** Of the cited passages, those that are gold; NaN where nothing is cited. */
export const citationPrecision = (cited: readonly string[], gold: ReadonlySet<string>): number =>
  cited.length === 0 ? Number.NaN : new Set(cited.filter((id) => gold.has(id))).size / new Set(cited).size;

/** Of the gold passages, those that are cited; NaN where nothing is gold. */
export const citationRecall = (cited: readonly string[], gold: ReadonlySet<string>): number =>
  gold.size === 0 ? Number.NaN : new Set(cited.filter((id) => gold.has(id))).size / gold.size;
