// public: answerWords, normalAnswer
import { words } from "./words.js";

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

// scripts that put no spaces between words: characters of Chinese and Japanese, as is usual, and the words of the others
const unspaced =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Tibetan}ー々][\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Tibetan}\p{M}ー々]*/gu;
const character = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}ー々]\p{M}*/gu;
const segmented = (text: string): string =>
  text.replace(unspaced, (run) =>
    run.search(character) >= 0 ? run.replace(character, " $& ") : ` ${words(run).join(" ")} `,
  );

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

/** The words of an answer: runs of letters and digits in lower case, and numbers and names with their signs. */
export const answerWords = (text: string): string[] =>
  segmented(withSigns(undecorated(text), " ")).match(
    /-?[\p{L}\p{N}](?:[\p{L}\p{N}\p{M}]|[-.,:/^](?=\p{Nd}))*[#+]{0,2}/gu,
  ) ?? [];
