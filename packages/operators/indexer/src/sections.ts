import type { Passage } from "@tessera/core";
import { estimateTokens } from "@tessera/core/internal";
import { hasWords, isBlank } from "./line.js";
import { markdownOutline } from "./markdown-outline.js";
import { type Piece, type Rows, splitRows, trimmed } from "./pieces.js";
import { layoutOf, outlineOf } from "./readers/layout.js";

export interface Heading {
  readonly row: number;
  /** How many rows it takes; 1 by default. */
  readonly rows?: number;
  /** The lower, the higher it stands. */
  readonly level: number;
  readonly text: string;
}

/** Where a text has headings, and which of its rows are best not cut apart (code, front matter). */
export interface Outline {
  readonly headings: readonly Heading[];
  readonly inside: readonly boolean[];
  /** Rows before which a section ends, as around a record of a table. */
  readonly breaks?: readonly number[];
}

const anchorOf = (path: readonly string[]): string =>
  path
    .map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}]+/gu, "-")
        .replace(/^-|-$/g, ""),
    )
    .join("/");

/** How bad it is to cut before a row outside a fence: least after a blank line, more within a paragraph or a table. */
const penaltyOf = (lines: readonly string[], row: number): number =>
  isBlank(lines[row]!) ? 50 : isBlank(lines[row - 1]!) ? 0 : /^\s*\|/.test(lines[row]!) ? 20 : 10;

/** Whether rows are headings alone: they stay with what follows. */
function leads(lines: readonly string[], headings: Outline["headings"]): (from: number, to: number) => boolean {
  const headingRows = new Set(
    headings.flatMap(({ row, rows = 1 }) => Array.from({ length: rows }, (_, at) => row + at)),
  );
  return (from, to) => {
    for (let row = from; row <= to; row++) if (!headingRows.has(row) && hasWords(lines[row]!)) return false;
    return true;
  };
}

/**
 * The sections of a text, by default of Markdown: a heading with what follows up to the next one; a heading with nothing of its own
 * goes with its first subsection. A section longer than `maximum` tokens is cut between blocks, and inside a code fence
 * only where the fence alone is longer. The parent of a section is the section of the heading above it.
 */
export function sectionsOf(
  lines: readonly string[],
  { maximum, outline = markdownOutline }: { maximum: number; outline?: (lines: readonly string[]) => Outline },
): Piece[] {
  const { headings, inside, breaks = [] } = outline(lines);
  const starts = [...new Set(breaks)].sort((a, b) => a - b);
  let nextStart = 0;
  const sizes = lines.map(estimateTokens);
  const penalty = (row: number) => (inside[row] ? 100 : penaltyOf(lines, row));
  const pieces: Piece[] = [];
  const open: { level: number; text: string; piece?: Piece }[] = [];
  let pending: number | undefined; // the first row of headings that had no text of their own

  const isLead = leads(lines, headings);
  /** A run of rows as the runs between breaks, in order. */
  function* runsOf([from, to]: Rows): Generator<Rows> {
    let at = from;
    for (; nextStart < starts.length && starts[nextStart]! <= to; nextStart++) {
      const start = starts[nextStart]!;
      // a heading stays with what follows it
      if (start <= at || isLead(at, start - 1)) continue;
      yield [at, start - 1];
      at = start;
    }
    yield [at, to];
  }

  const section = ([from, to]: Rows) => {
    const path = open.map(({ text }) => text);
    let first: Piece | undefined;
    for (const run of runsOf([from, to])) {
      const kept = trimmed(lines, run);
      if (!kept || !lines.slice(kept[0], kept[1] + 1).some(hasWords)) continue;
      const part = parts(kept, path, first === undefined);
      first ??= part;
    }
    const last = open.at(-1);
    if (last) last.piece = first;
  };

  /** Adds the parts of a run, and returns the first; only the first run of a section is named by its headings. */
  const parts = (kept: Rows, path: string[], named: boolean): Piece | undefined => {
    let first: Piece | undefined;
    for (const part of splitRows(sizes, kept, maximum, penalty)) {
      const rows = trimmed(lines, part);
      if (!rows) continue;
      const piece: Piece = {
        rows,
        title: path.length > 0 ? path.join(" > ") : undefined,
        anchor: first || !named || path.length === 0 ? undefined : anchorOf(path),
        parent: first ?? open.slice(0, -1).findLast((above) => above.piece)?.piece,
        metadata: { kind: "section", headings: path },
      };
      first ??= piece;
      pieces.push(piece);
    }
    return first;
  };

  section([0, (headings[0]?.row ?? lines.length) - 1]);
  for (const [index, { row, rows = 1, level, text }] of headings.entries()) {
    while (open.length > 0 && open.at(-1)!.level >= level) open.pop();
    open.push({ level, text });
    const next = headings[index + 1];
    const end = (next?.row ?? lines.length) - 1;
    pending ??= row;
    if (next && next.level > level && lines.slice(row + rows, end + 1).every(isBlank)) continue;
    section([pending, end]);
    pending = undefined;
  }
  return pieces;
}

/** The sections of a document of Markdown, by its own headings or those that its reader found. */
export function documentSections(document: Passage, lines: readonly string[], maximum: number): Piece[] {
  const layout = layoutOf(document);
  const outline = layout && outlineOf(layout, lines.length);
  return sectionsOf(lines, outline ? { maximum, outline: () => outline } : { maximum });
}
