// public: window
// internal: chunkWindows
import { operator, type Passage, passages } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";
import { z } from "zod";
import { passedOn, sourceWithin } from "./readers/layout.js";

// each splits a text without losing a character; a letter of a script without spaces is a word of its own
const spaceless = "\\p{scx=Han}\\p{scx=Hiragana}\\p{scx=Katakana}\\p{scx=Thai}";
const units = {
  words: new RegExp(`(?:^\\s+)?(?:[${spaceless}]|[^\\s${spaceless}]+)\\s*`, "gu"),
  tokens: /(?:^\s+)?(?:[\p{L}\p{N}_$]+|[^\s\p{L}\p{N}_$])\s*/gu,
  characters: /[\s\S]/gu,
  lines: /[^\n]*\n|[^\n]+$/g,
} as const;

export interface WindowSettings {
  /** What is counted: words; tokens (words and punctuation marks); characters; lines. */
  readonly unit: keyof typeof units;
  /** Units in a window. */
  readonly size: number;
  /** Units that two neighbours share; less than `size`. */
  readonly overlap: number;
}

/**
 * Windows over a text. Every character is in one; neighbours share exactly `overlap` units, and `metadata.span` holds
 * the characters [from, to) of the document that the window is. The last window may be shorter. A window of lines is
 * its lines exactly: the line feed that ends it is not part of its text.
 */
export function chunkWindows(document: Passage, { unit, size, overlap }: WindowSettings): Passage[] {
  const { text } = document;
  const starts = [...text.matchAll(units[unit])].map(({ index }) => index);
  const count = starts.length;
  starts.push(text.length);
  const own = passedOn(document.metadata);
  const taken = new Map<string, number>();
  const windows: Passage[] = [];
  let row = 0;
  let counted = 0; // characters whose line feeds are in `row`
  for (let first = 0; first < count; first += size - overlap) {
    const from = starts[first]!;
    let to = starts[Math.min(first + size, count)]!;
    if (unit === "lines" && text[to - 1] === "\n") to--;
    row += feeds(text, counted, from);
    counted = from;
    const body = text.slice(from, to);
    const name = `${document.id}#@${sha256(body).slice(0, 10)}`;
    taken.set(name, (taken.get(name) ?? 0) + 1);
    windows.push({
      id: taken.get(name) === 1 ? name : `${name}~${taken.get(name)}`,
      text: body,
      ...(document.title !== undefined && { title: document.title }),
      source: sourceWithin(document, [row, row + feeds(unit === "lines" ? body : body.trimEnd(), 0, body.length)]),
      metadata: { ...own, span: [from, to] },
    });
    if (first + size >= count) break;
  }
  return windows;
}

function feeds(text: string, from: number, to: number): number {
  let count = 0;
  for (let at = text.indexOf("\n", from); at >= 0 && at < to; at = text.indexOf("\n", at + 1)) count++;
  return count;
}

/** Sliding windows with overlap over any text. */
export const window = operator({
  name: "indexer.window",
  version: 1,
  about: {
    module: "indexing",
    submodule: "chunk optimisation",
    paper: "Modular RAG, operator 1",
    summary: "Chunks text into windows of equal size that overlap.",
  },
  config: z
    .strictObject({
      unit: z.enum(["words", "tokens", "characters", "lines"]).default("words"),
      size: z.int().positive().default(200),
      overlap: z.int().min(0).default(40),
    })
    .refine(({ size, overlap }) => overlap < size, { error: "overlap must be less than size", path: ["overlap"] }),
  ports: { input: { documents: passages }, output: { passages } },
  effects: "none",
  setup:
    (settings) =>
    ({ documents }) => ({ passages: documents.flatMap((document: Passage) => chunkWindows(document, settings)) }),
});
