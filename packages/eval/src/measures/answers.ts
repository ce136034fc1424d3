// public: exactMatch, containsAnswer, answerF1, rougeL, citationPrecision, citationRecall
import { words } from "@tessera/text";

// "[1]", "[1, 2]", "[1-3]", "[1 and 2]", "[^1]", "[passage 2]", "［1］", "【1†source】"; not a year, not an index, not [0, 1]
const marker =
  /[ \t]*[[［【]\^?(?:(?:passage|source|document)s?[ \t]*)?[1-9]\d{0,2}(?:[ \t]*(?:[-–,;]|and|und|et|y)[ \t]*[1-9]\d{0,2})*(?:†[^\]】\n]{0,40})?[\]］】]/gi;
const tags = /<\/?(?:b|i|u|em|strong|mark|code|sup|sub|p|br)[ \t]*\/?>/gi;
const link = /!?\[([^\]\n]+)\]\([^()\s]*\)/g;
const code = /(`+)(?!`)[\s\S]*?(?<!`)\1(?!`)/g;

/** An answer without citation markers, links and tags of emphasis; what stands in backticks is as it was. */
function undecorated(text: string): string {
  const plain = (part: string): string => part.replace(link, "$1").replace(tags, "").replace(marker, "");
  let result = "";
  let at = 0;
  for (const { index, 0: quoted } of text.matchAll(code)) {
    result += plain(text.slice(at, index)) + quoted;
    at = index + quoted.length;
  }
  return result + plain(text.slice(at));
}

// what is content among the signs: in a number (3.5, 10:30, 1/2), before one (-5), at the end of a name (C#, C++)
const signs =
  /(?<thousands>(?<=\p{Nd}),(?=\p{Nd}{3}(?!\p{Nd})))|(?<range>(?<=\p{Nd})[-–−](?=\p{Nd}))|(?<inside>(?<=\p{Nd})[.,:/^](?=\p{Nd}))|(?<minus>(?<![\p{L}\p{N}])[-−](?=\p{Nd}))|(?<name>(?<=\p{L})[#+]{1,2}(?![\p{L}\p{N}#+]))|[\p{P}$+<=>^`|~]/gu;

/** A text in lower case, its punctuation replaced, but for what is part of a number or a name. */
const withSigns = (text: string, other: string): string =>
  text
    .normalize("NFC")
    .toLowerCase()
    .replace(signs, (...rest) => {
      const kinds = rest.at(-1) as Record<string, string | undefined>;
      if (kinds.thousands) return "";
      return kinds.range || kinds.minus ? "-" : (kinds.inside ?? kinds.name ?? other);
    });

// scripts that put no spaces between words: their words are those of core
const unspaced =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Tibetan}ー々][\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Tibetan}\p{M}ー々]*/gu;
const segmented = (text: string): string => text.replace(unspaced, (run) => ` ${words(run).join(" ")} `);

/**
 * The form in which answers are compared: lower case, without punctuation and English articles, single spaces. That is
 * SQuAD's normal form (Rajpurkar et al. 2016) but for three things: citation markers and emphasis are dropped, a sign
 * that is part of a number or a name stays (3.5, -5, C#), and scripts without spaces are parted into words.
 */
export const normalAnswer = (text: string): string =>
  segmented(withSigns(undecorated(text), "").replace(/(?<![\p{L}\p{N}])(?:a|an|the)(?![\p{L}\p{N}#+])/gu, " "))
    .split(/\s+/)
    .filter(Boolean)
    .join(" ");

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
  Math.max(0, ...accepted.map((answer) => subsequenceF1(runs(given), runs(answer))));

const runs = (text: string): string[] =>
  segmented(withSigns(undecorated(text), " ")).match(
    /-?[\p{L}\p{N}](?:[\p{L}\p{N}\p{M}]|[-.,:/^](?=\p{Nd}))*[#+]{0,2}/gu,
  ) ?? [];

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
