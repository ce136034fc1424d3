import type { Hit } from "@tessera/core";

/** A hit with another text: the passage's id, place and provenance stay. */
export const withText = (hit: Hit, text: string): Hit => ({ ...hit, passage: { ...hit.passage, text } });

/** Cuts a text at the end of a word, to at most `length` characters. */
export function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  const part = text.slice(0, Math.max(0, length));
  const end = part.search(/\s+\S*$/);
  return end > 0 ? part.slice(0, end) : part;
}

/** Equation 13, |d^c| < |d|: the compressed text, or else the text without its end. Only an empty text cannot be shorter. */
export const shorter = (text: string, compressed: string): string =>
  compressed.length < text.length ? compressed : cut(text, text.length - 1);
