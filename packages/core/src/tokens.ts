import type { LanguageModel } from "./resources.js";

// a word or a hump of one, capitals, a digit, indentation, line ends, punctuation, a letter of a script without case
const piece = /\p{Lu}?\p{Ll}+|\p{Lu}+(?!\p{Ll})|\p{N}|[ \t]{2,}|[\r\n]+|[^\s\p{L}\p{N}]+|[\p{Lo}\p{Lm}\p{Lt}]/gu;

/**
 * How many tokens a text is about: a token for each 5 letters of a word or of a hump of an identifier, each digit, each
 * 2 signs, each letter outside ASCII. Against cl100k it is 1.1 to 1.6 times the true count on code and prose.
 */
export function estimateTokens(text: string): number {
  let tokens = 0;
  for (const [part] of text.matchAll(piece)) {
    const code = part.codePointAt(0)!;
    if (code <= 32) tokens += 1;
    else if (code > 127) tokens += part.length;
    else tokens += Math.ceil(part.length / (/[A-Za-z]/.test(part) ? 5 : 2));
  }
  return tokens;
}

/** The tokens of a text as the model counts them, or else as they are estimated. */
export const countTokens = (text: string, model?: LanguageModel): number =>
  model?.count ? model.count(text) : estimateTokens(text);
