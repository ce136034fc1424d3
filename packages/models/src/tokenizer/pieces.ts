import { z } from "zod";

/** A step that cuts text into pieces which no token crosses, as `pre_tokenizer` of a tokenizer.json says. */
export type Cut = (text: string) => Iterable<string>;

/** What is not computed here: the library gets such a tokenizer whole. */
export class UnknownStepError extends Error {}

const step = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("Sequence"), pretokenizers: z.array(z.unknown()) }),
  z.looseObject({
    type: z.literal("Split"),
    pattern: z.union([z.object({ Regex: z.string() }), z.object({ String: z.string() })]),
    behavior: z.enum(["Isolated", "Removed"]),
    invert: z.boolean().default(false),
  }),
  z.looseObject({ type: z.literal("Digits"), individual_digits: z.boolean().default(false) }),
  z.looseObject({
    type: z.literal("ByteLevel"),
    add_prefix_space: z.boolean().default(true),
    use_regex: z.boolean().default(true),
  }),
]);

/** GPT-2's own pattern, which a ByteLevel step has built in. */
const byteLevelPattern = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

/**
 * The cuts of a `pre_tokenizer` that ends in ByteLevel, and whether there is a ByteLevel step at all.
 * @throws UnknownStepError
 */
export function cutsOf(document: unknown): { readonly cut: Cut; readonly byteLevel: boolean } {
  const parsed = step.safeParse(document);
  if (!parsed.success) throw new UnknownStepError(z.prettifyError(parsed.error));
  const found = parsed.data;
  switch (found.type) {
    case "Sequence": {
      const steps = found.pretokenizers.map(cutsOf);
      const cut = steps.reduce<Cut>(
        (before, { cut: next }) =>
          function* (text) {
            for (const piece of before(text)) yield* next(piece);
          },
        (text) => (text === "" ? [] : [text]),
      );
      return { cut, byteLevel: steps.some(({ byteLevel }) => byteLevel) };
    }
    case "Split": {
      const pattern = "Regex" in found.pattern ? patternOf(found.pattern.Regex) : literal(found.pattern.String);
      return { cut: split(pattern, found.behavior === "Removed", found.invert), byteLevel: false };
    }
    case "Digits":
      return { cut: split(found.individual_digits ? /\p{N}/gu : /\p{N}+/gu, false, false), byteLevel: false };
    case "ByteLevel": {
      const cut: Cut = found.use_regex ? split(patternOf(byteLevelPattern), false, false) : (text) => [text];
      if (!found.add_prefix_space) return { cut, byteLevel: true };
      return { cut: (text) => cut(text.startsWith(" ") ? text : ` ${text}`), byteLevel: true };
    }
  }
}

/** Matches and what lies between them; either may be left out. */
const split = (pattern: RegExp, removed: boolean, invert: boolean): Cut =>
  function* (text) {
    let from = 0;
    for (const match of text.matchAll(pattern)) {
      if (match[0] === "") continue;
      if (match.index > from && !(removed && invert)) yield text.slice(from, match.index);
      if (!removed || invert) yield match[0];
      from = match.index + match[0].length;
    }
    if (from < text.length && !(removed && invert)) yield text.slice(from);
  };

const literal = (text: string): RegExp => new RegExp(text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"), "gu");

/** Letters that are equal to a letter of ASCII but for their case, beside its own two forms. */
const folded: Readonly<Record<string, string>> = { s: "\u017f", k: "\u212a" };

/**
 * A pattern of the Rust library as one of JavaScript: `\s` is White_Space there, and `(?i:…)` has to be written out, since
 * Node 22 does not know it.
 * @throws UnknownStepError for what JavaScript does not have
 */
function patternOf(source: string): RegExp {
  const spelled = source.replace(/\(\?i:([^()]*)\)/g, (_, group: string) => {
    if (/[\\[\]]/.test(group)) throw new UnknownStepError(`(?i:${group}) is not read`);
    return `(?:${group.replace(/[a-z]/gi, (letter) => {
      const lower = letter.toLowerCase();
      return `[${lower}${lower.toUpperCase()}${folded[lower] ?? ""}]`;
    })})`;
  });
  if (/(?:[+*?]|\{\d+(?:,\d*)?\})\+/.test(spelled)) throw new UnknownStepError("possessive quantifiers are not read");
  const blanks = spelled
    .replace(/(?<!\\)((?:\\\\)*)\\s/g, "$1\\p{White_Space}")
    .replace(/(?<!\\)((?:\\\\)*)\\S/g, "$1\\P{White_Space}");
  try {
    return new RegExp(blanks, "gu");
  } catch (cause) {
    throw new UnknownStepError(`the pattern ${source} is not read`, { cause });
  }
}

const normaliser = z.discriminatedUnion("type", [
  z.looseObject({ type: z.enum(["NFC", "NFD", "NFKC", "NFKD"]) }),
  z.looseObject({ type: z.literal("Sequence"), normalizers: z.array(z.unknown()) }),
  z.looseObject({ type: z.literal("Prepend"), prepend: z.string() }),
  z.looseObject({
    type: z.literal("Replace"),
    pattern: z.union([z.object({ Regex: z.string() }), z.object({ String: z.string() })]),
    content: z.string(),
  }),
]);

/**
 * What the `normalizer` of a tokenizer.json does to a text.
 * @throws UnknownStepError
 */
export function normaliserOf(document: unknown): (text: string) => string {
  if (document === null || document === undefined) return (text) => text;
  const parsed = normaliser.safeParse(document);
  if (!parsed.success) throw new UnknownStepError(z.prettifyError(parsed.error));
  const found = parsed.data;
  switch (found.type) {
    case "Sequence": {
      const steps = found.normalizers.map(normaliserOf);
      return (text) => steps.reduce((changed, next) => next(changed), text);
    }
    case "Prepend":
      return (text) => (text === "" ? text : `${found.prepend}${text}`);
    case "Replace": {
      const pattern = "Regex" in found.pattern ? patternOf(found.pattern.Regex) : literal(found.pattern.String);
      return (text) => text.replace(pattern, () => found.content);
    }
    default:
      return (text) => text.normalize(found.type);
  }
}
