// public: textMatch
import { flag, operator, type Ports, text } from "@tessera/core";
import { type Piece, typed } from "@tessera/core/internal";
import { z } from "zod";
import { namesOf, type Part, type Places, parsePattern } from "./pattern.js";

const pattern = z.string().superRefine((value, context) => {
  const parts = parsePattern(value);
  const names = typeof parts === "string" ? [] : parts.flatMap((part) => ("name" in part ? [part] : []));
  const complaint =
    typeof parts === "string"
      ? parts
      : parts.length === 0
        ? "an empty pattern matches nothing"
        : names.some(({ list }) => list)
          ? "a capture is one text: write {name}"
          : names.some(
                ({ name }, index) => name === "matched" || names.findIndex((other) => other.name === name) < index,
              )
            ? 'the names of captures differ from each other and from "matched"'
            : parts.some((part, index) => index > 0 && "name" in part && "name" in parts[index - 1]!)
              ? "between two captures stands a text that parts them"
              : undefined;
  if (complaint) context.addIssue({ code: "custom", message: complaint });
});

const partsOf = (value: string) => parsePattern(value) as Part[];

// lower case in which every character keeps its place
const folded = (value: string): string => {
  const lower = value.toLowerCase();
  if (lower.length === value.length) return lower;
  return Array.from(value, (character) => {
    const small = character.toLowerCase();
    return small.length === character.length ? small : character;
  }).join("");
};

/** The captures of the first match, or `undefined`. Each literal is searched once, from where the last one ended. */
function capture(subject: string, parts: readonly Part[], fold: (value: string) => string) {
  const searched = fold(subject);
  const captures: [string, string][] = [];
  let from = 0;
  let open: string | undefined;
  for (const part of parts) {
    if ("name" in part) {
      open = part.name;
      continue;
    }
    const at = searched.indexOf(fold(part.literal), from);
    if (at < 0) return undefined;
    if (open !== undefined) captures.push([open, subject.slice(from, at).trim()]);
    open = undefined;
    from = at + part.literal.length;
  }
  if (open !== undefined) captures.push([open, subject.slice(from).trim()]);
  return Object.fromEntries(captures);
}

const specification = operator({
  name: "text.match",
  version: 1,
  about: { module: "data", submodule: "text", summary: "Reads named parts out of a text." },
  config: z.strictObject({
    pattern: z.union([pattern, z.array(pattern).min(1)]),
    /** Whether a capture ends with its line, or may run over many. */
    within: z.enum(["line", "text"]).default("line"),
    caseSensitive: z.boolean().default(false),
  }),
  ports: ({ pattern }) => ({
    input: { text },
    output: {
      matched: flag,
      ...Object.fromEntries(
        [pattern].flat().flatMap((one) => [...namesOf(partsOf(one)).keys()].map((name) => [name, text.optional()])),
      ),
    } as Ports,
  }),
  effects: "none",
  setup: ({ pattern, within, caseSensitive }) => {
    const alternatives = [pattern].flat().map(partsOf);
    const fold = caseSensitive ? (value: string) => value : folded;
    return ({ text }) => {
      const subjects = within === "line" ? text.split(/\r?\n/) : [text];
      for (const parts of alternatives)
        for (const subject of subjects) {
          const captures = capture(subject, parts, fold);
          if (captures) return { matched: true, ...captures };
        }
      return { matched: false };
    };
  },
});

type Output<T extends string> = { matched: boolean } & { [P in Places<T>]?: string };

/**
 * Reads named parts out of a text: the template notation backwards. `{name}` captures the shortest text up to the literal
 * that follows it, and at the end of a pattern the rest of the line (or of the text). The first of several patterns that
 * matches anywhere is taken. Captures are trimmed; without a match they are skipped and `matched` is false.
 *
 * There are no regular expressions here: a document is data that anybody may have written, and a regular expression can
 * take exponential time. Literals in order need no backtracking, so that a match takes time linear in text and pattern.
 */
export const textMatch =
  typed<
    <const T extends string>(config: {
      pattern: T | readonly T[];
      within?: "line" | "text";
      caseSensitive?: boolean;
    }) => Piece<{ text: string }, Output<T>>
  >(specification);
