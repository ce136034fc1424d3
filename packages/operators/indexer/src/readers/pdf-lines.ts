// The lines of a page of a PDF in the order in which they are read.

/** A run of characters as it stands on a page; y grows upwards, as in PDF. */
export interface Run {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  /** Of the font, in points. */
  readonly size: number;
  readonly bold: boolean;
}

/** A line, or of a row of a table one cell after another. */
export interface Line {
  readonly text: string;
  readonly x: number;
  readonly right: number;
  readonly y: number;
  readonly size: number;
  readonly bold: boolean;
  /** The cells, where wide gaps part it. */
  readonly cells: readonly { readonly text: string; readonly x: number; readonly right: number }[];
}

interface Segment {
  readonly runs: Run[];
  readonly x: number;
  right: number;
  readonly y: number;
  readonly size: number;
}

// of the size of the font
const narrowGap = 0.5; // at least the space between two columns
const wideGap = 1.05; // more than most spaces between words, as between cells

const sameLine = (a: Pick<Run, "y" | "size">, b: Pick<Run, "y" | "size">): boolean =>
  Math.abs(a.y - b.y) <= 0.45 * Math.max(a.size, b.size); // a sign that is raised or lowered stays with its line

/** Things by the lines that they stand on, from the top, each from left to right. */
function rowsOf<T extends Pick<Run, "x" | "y" | "size">>(all: readonly T[]): T[][] {
  const rows: T[][] = [];
  for (const one of [...all].sort((a, b) => b.y - a.y || a.x - b.x)) {
    const row = rows.at(-1);
    if (row && sameLine(row[0]!, one)) row.push(one);
    else rows.push([one]);
  }
  return rows.map((row) => row.sort((a, b) => a.x - b.x));
}

/** Runs that stand on one line without a gap between them. */
function segmentsOf(runs: readonly Run[]): Segment[] {
  return rowsOf(runs).flatMap((row) => {
    const segments: Segment[] = [];
    for (const run of row) {
      const last = segments.at(-1);
      if (last && run.x - last.right < narrowGap * Math.min(run.size, last.size)) {
        last.runs.push(run);
        last.right = Math.max(last.right, run.x + run.width);
      } else segments.push({ runs: [run], x: run.x, right: run.x + run.width, y: row[0]!.y, size: run.size });
    }
    return segments;
  });
}

const sizeOf = (runs: readonly Run[]): number => {
  const weights = new Map<number, number>();
  for (const { size, text } of runs) weights.set(size, (weights.get(size) ?? 0) + text.trim().length);
  return [...weights].reduce((best, one) => (one[1] > best[1] ? one : best), [runs[0]!.size, -1])[0];
};

function textOf(runs: readonly Run[]): string {
  let text = "";
  let right: number | undefined;
  for (const run of runs) {
    const gap = right === undefined ? 0 : run.x - right;
    if (right !== undefined && gap > 0.15 * run.size && !text.endsWith(" ") && !run.text.startsWith(" ")) text += " ";
    text += run.text;
    right = Math.max(right ?? 0, run.x + run.width);
  }
  return text.replace(/[\t\n\r \u00a0]+/g, " ").trim();
}

const median = (numbers: readonly number[]): number => [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? 0;

/** Where a page has two columns of text: the x between them. Cells of a table are narrower than their column, and are none. */
function gutterOf(rows: readonly (readonly Segment[])[]): number | undefined {
  if (rows.length < 6) return undefined;
  const all = rows.flat();
  const [left, right] = [Math.min(...all.map(({ x }) => x)), Math.max(...all.map((one) => one.right))];
  const width = right - left;
  let best: { x: number; crossing: number } | undefined;
  for (let x = left + 0.25 * width; x <= left + 0.75 * width; x += 2) {
    const apart = rows.filter((row) => row.every((one) => one.right <= x + 1 || one.x >= x - 1));
    const parted = apart.map((row) => ({
      before: row.filter((one) => one.right <= x + 1),
      after: row.filter((one) => one.x >= x - 1),
    }));
    const both = parted.filter(({ before, after }) => before.length > 0 && after.length > 0);
    const least = Math.min(
      ...(["before", "after"] as const).map((side) => parted.filter((row) => row[side].length > 0).length),
    );
    const crossing = rows.length - apart.length;
    if (both.length < Math.max(4, least / 2) || crossing > 0.5 * rows.length) continue;
    if (best && crossing >= best.crossing) continue;
    const end = Math.max(...both.map(({ before }) => before.at(-1)!.right));
    const start = Math.min(...both.map(({ after }) => after[0]!.x));
    // most lines fill their column, and little is left between the columns
    const fills = (side: "before" | "after", wide: number) =>
      median(both.map((row) => row[side].at(-1)!.right - row[side][0]!.x)) >= 0.6 * wide;
    const gap = median(both.map(({ before, after }) => after[0]!.x - before.at(-1)!.right));
    if (fills("before", end - left) && fills("after", right - start) && gap <= 0.12 * width)
      best = { x: (end + start) / 2, crossing };
  }
  return best?.x;
}

/** Segments in reading order: above a line that spans both columns first the left one, then the right one. */
function ordered(segments: readonly Segment[], depth = 0): Segment[][] {
  const rows = rowsOf(segments);
  const gutter = depth < 3 ? gutterOf(rows) : undefined;
  if (gutter === undefined) return [rows.flat()];
  const groups: Segment[][] = [];
  let left: Segment[] = [];
  let right: Segment[] = [];
  let spanning: Segment[] = [];
  const flush = () => {
    for (const side of [left, right]) if (side.length > 0) groups.push(...ordered(side, depth + 1));
    left = [];
    right = [];
  };
  for (const row of rows) {
    if (row.some((one) => one.x < gutter - 2 && one.right > gutter + 2)) {
      flush();
      spanning.push(...row);
      continue;
    }
    if (spanning.length > 0) groups.push(spanning);
    spanning = [];
    for (const one of row) (one.right <= gutter + 2 ? left : right).push(one);
  }
  flush();
  if (spanning.length > 0) groups.push(spanning);
  return groups;
}

function lineOf(segments: readonly Segment[]): Line {
  const runs = segments.flatMap((one) => one.runs);
  const letters = runs.filter(({ text }) => /\p{L}/u.test(text));
  const size = sizeOf(runs);
  const parts: Segment[][] = [];
  for (const one of segments) {
    const last = parts.at(-1)?.at(-1);
    if (last && one.x - last.right < wideGap * size) parts.at(-1)!.push(one);
    else parts.push([one]);
  }
  const cells = parts.map((part) => ({
    text: textOf(part.flatMap((one) => one.runs)),
    x: part[0]!.x,
    right: part.at(-1)!.right,
  }));
  return {
    text: cells.map(({ text }) => text).join(" "),
    x: segments[0]!.x,
    right: segments.at(-1)!.right,
    y: segments[0]!.y,
    size,
    bold: letters.length > 0 && letters.every(({ bold }) => bold),
    cells,
  };
}

/** The lines of a page in reading order, in groups that stand below one another: a column, or what spans several. */
export function linesInOrder(runs: readonly Run[]): Line[][] {
  const shown = runs.filter(({ text }) => text.trim() !== "");
  return ordered(segmentsOf(shown)).map((group) =>
    rowsOf(group)
      .map(lineOf)
      .filter(({ text }) => text !== ""),
  );
}
