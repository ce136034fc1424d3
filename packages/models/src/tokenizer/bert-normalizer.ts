import { z } from "zod";
import { classes, classTable, undecomposed } from "./characters.js";

export const bertNormalizer = z.looseObject({
  type: z.literal("BertNormalizer"),
  clean_text: z.boolean().default(true),
  handle_chinese_chars: z.boolean().default(true),
  /** Null: where the text is lowered. */
  strip_accents: z.boolean().nullish(),
  lowercase: z.boolean().default(true),
});

/** The normalizer of BERT, character for character as the Rust library computes it. */
export function normalizerOf(settings: z.infer<typeof bertNormalizer>): (text: string) => string {
  const { clean_text: cleans, handle_chinese_chars: spaces, lowercase } = settings;
  const strips = settings.strip_accents ?? lowercase;
  return (text) => {
    if (isPlain(text)) return lowercase ? text.toLowerCase() : text;
    let found = cleans || spaces ? cleaned(text, cleans, spaces) : text;
    if (strips) found = stripped(found);
    // a capital sigma at the end of a word would become another letter: the library lowers character by character
    return lowercase ? found.replaceAll("Σ", "σ").toLowerCase() : found;
  };
}

/** Printable ASCII: only its case can change. */
const isPlain = (text: string): boolean => /^[\x20-\x7e]*$/.test(text);

/** Removes what has no shape, makes every blank U+0020, and sets Chinese characters apart. */
function cleaned(text: string, cleans: boolean, spaces: boolean): string {
  const table = classTable();
  let found = "";
  for (const character of text) {
    const point = character.codePointAt(0)!;
    const kind = table[point]!;
    if (cleans && (point === 0x09 || point === 0x0a || point === 0x0d)) found += " ";
    else if (cleans && kind & classes.removed) continue;
    else if (cleans && kind & classes.blank) found += " ";
    else if (spaces && kind & classes.chinese) found += ` ${character} `;
    else found += character;
  }
  return found;
}

/** Decomposes and removes nonspacing marks. */
function stripped(text: string): string {
  const table = classTable();
  const parts = undecomposed.test(text) ? text.split(new RegExp(`(${undecomposed.source})`, "u")) : [text];
  let found = "";
  for (const part of parts)
    for (const character of undecomposed.test(part) ? part : part.normalize("NFD"))
      if (!(table[character.codePointAt(0)!]! & classes.mark)) found += character;
  return found;
}
