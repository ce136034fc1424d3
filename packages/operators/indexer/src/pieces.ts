import type { Passage } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";
import { isBlank } from "./line.js";
import { passedOn, sourceWithin } from "./readers/layout.js";

/** A run of whole lines of a document that becomes one passage. Rows count from 0 and include both ends. */
export interface Piece {
  readonly rows: Rows;
  readonly title?: string | undefined;
  readonly symbol?: string | undefined;
  /** What identifies the piece in its document besides its words: a symbol, a path of headings. */
  readonly anchor?: string | undefined;
  readonly parent?: Piece | undefined;
  readonly metadata?: Passage["metadata"] | undefined;
}
export type Rows = readonly [from: number, to: number];

/** The lines of a text, without what ends them: a line feed, a carriage return, or both. */
export function linesOf(text: string): string[] {
  const lines = text.split(/\r\n|\n|\r/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** Without the blank lines at both ends; `undefined` where nothing is left. */
export function trimmed(lines: readonly string[], [from, to]: Rows): Rows | undefined {
  let [first, last] = [from, to];
  while (first <= last && isBlank(lines[first]!)) first++;
  while (last >= first && isBlank(lines[last]!)) last--;
  return first <= last ? [first, last] : undefined;
}

/**
 * Cuts a run of lines into parts of at most `maximum` tokens; a single longer line stands alone. The parts are of
 * about equal size, and each cut falls before the row whose `penalty` is least among those within reach.
 */
export function splitRows(
  sizes: readonly number[],
  [from, to]: Rows,
  maximum: number,
  penalty: (row: number) => number,
): Rows[] {
  const parts: Rows[] = [];
  let left = 0;
  for (let row = from; row <= to; row++) left += sizes[row]!;
  let first = from;
  while (left > maximum && first < to) {
    const target = left / Math.ceil(left / maximum);
    let size = sizes[first]!;
    let best = { row: first + 1, size, penalty: Number.POSITIVE_INFINITY, distance: 0 };
    for (let row = first + 1; row <= to && size <= maximum; size += sizes[row++]!) {
      const cost = penalty(row);
      const distance = Math.abs(size - target);
      if (size < target / 2 && best.penalty < Number.POSITIVE_INFINITY) continue;
      const early = size < target / 2;
      if (early || cost < best.penalty || (cost === best.penalty && distance < best.distance))
        best = { row, size, penalty: early ? Number.POSITIVE_INFINITY : cost, distance };
    }
    parts.push([first, best.row - 1]);
    first = best.row;
    left -= best.size;
  }
  parts.push([first, to]);
  return parts;
}

/**
 * The passages of a document's pieces. An id does not depend on line numbers: it is the document's id with the piece's
 * anchor, or with a hash of its text where it has none, so that a piece that only moved keeps its id. Metadata of the
 * document, its access list among them, goes on to each passage.
 */
export function passagesOf(document: Passage, lines: readonly string[], pieces: readonly Piece[]): Passage[] {
  const taken = new Map<string, number>();
  const ids = new Map<Piece, string>();
  const own = passedOn(document.metadata);
  const texts = pieces.map(({ rows: [from, to] }) => lines.slice(from, to + 1).join("\n"));
  for (const [index, piece] of pieces.entries()) {
    const name = `${document.id}#${piece.anchor ?? `@${sha256(texts[index]!).slice(0, 10)}`}`;
    const count = (taken.get(name) ?? 0) + 1;
    taken.set(name, count);
    ids.set(piece, count === 1 ? name : `${name}~${count}`);
  }
  return pieces.map((piece, index) => {
    const parent = piece.parent && ids.get(piece.parent);
    const title = piece.title ?? document.title;
    return {
      id: ids.get(piece)!,
      text: texts[index]!,
      ...(title !== undefined && { title }),
      source: {
        ...sourceWithin(document, piece.rows),
        ...(piece.symbol !== undefined && { symbol: piece.symbol }),
      },
      ...(parent !== undefined && { parent }),
      metadata: { ...own, ...piece.metadata },
    };
  });
}
