import { z } from "zod";

export const addedToken = z.looseObject({
  id: z.int().nonnegative(),
  content: z.string().min(1),
  /** Only where no letter, digit or underscore stands beside it. */
  single_word: z.boolean().default(false),
  /** Takes the blanks before it. */
  lstrip: z.boolean().default(false),
  /** Takes the blanks after it. */
  rstrip: z.boolean().default(false),
  /** Looked for in the normalised text, its own content normalised too. */
  normalized: z.boolean().default(true),
});
export type AddedToken = z.infer<typeof addedToken>;

/** A part of a text: the id of an added token, or what lies between. */
export type Section = number | string;

/** Cuts a text at added tokens: of several at one place, the longest. */
export function cutter(
  tokens: readonly AddedToken[],
  contentOf = (token: AddedToken): string => token.content,
): (text: string) => Section[] {
  const byContent = new Map(tokens.map((token) => [contentOf(token), token]));
  byContent.delete("");
  if (byContent.size === 0) return (text) => [text];
  const contents = [...byContent.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(
    contents.map((content) => content.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join("|"),
    "gu",
  );
  return (text) => {
    const sections: Section[] = [];
    let from = 0;
    for (const match of text.matchAll(pattern)) {
      const { single_word, lstrip, rstrip, id } = byContent.get(match[0])!;
      let [start, end] = [match.index, match.index + match[0].length];
      if (start < from) continue;
      if (
        single_word &&
        (/[\p{L}\p{M}\p{N}\p{Pc}]$/u.test(text.slice(0, start)) || /^[\p{L}\p{M}\p{N}\p{Pc}]/u.test(text.slice(end)))
      )
        continue;
      if (lstrip) start = from + text.slice(from, start).trimEnd().length;
      if (rstrip) end = text.length - text.slice(end).trimStart().length;
      if (start > from) sections.push(text.slice(from, start));
      sections.push(id);
      from = end;
    }
    if (from < text.length) sections.push(text.slice(from));
    return sections;
  };
}
