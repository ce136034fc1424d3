import type { Line } from "./pdf-lines.js";
import type { Block } from "./reader.js";

/** The lines of a page, in groups as `linesInOrder` gives them. */
export interface PageLines {
  readonly number: number;
  readonly height: number;
  readonly groups: readonly (readonly Line[])[];
}

const pattern = (text: string): string =>
  text
    .replace(/\d+|\b[ivxlc]+\b/gi, " ")
    .replace(/\s+/g, " ")
    .trim()
    .toLowerCase();
const isPageNumber = (text: string): boolean =>
  /^(?:(?:page|seite|página|pagina|s\.|p\.)\s*)?[-–—[(]?\s*(?:\d{1,4}|[ivxlc]{1,7})\s*[-–—\])]?(?:\s*(?:\/|of|von|de|di|sur)\s*\d{1,4})?$/iu.test(
    text.trim(),
  );

/** The patterns of lines that stand at the top or the bottom of many pages: running headers and footers, page numbers. */
function running(pages: readonly PageLines[]): (page: PageLines, line: Line) => boolean {
  const atEdge = (page: PageLines, { y }: Line) => y > 0.88 * page.height || y < 0.1 * page.height;
  const seen = new Map<string, Set<number>>();
  const keyOf = ({ text, y }: Line) => `${Math.round(y / 6)} ${pattern(text)}`;
  for (const page of pages)
    for (const line of page.groups.flat())
      if (atEdge(page, line)) {
        const key = keyOf(line);
        seen.set(key, (seen.get(key) ?? new Set()).add(page.number));
      }
  const least = pages.length < 3 ? Math.max(2, pages.length) : Math.max(3, 0.3 * pages.length);
  return (page, line) => atEdge(page, line) && (isPageNumber(line.text) || (seen.get(keyOf(line))?.size ?? 0) >= least);
}

/**
 * Ligatures as letters: those of Unicode, and those that fonts of TeX have at their own places, 11 to 15 or 27 to 31,
 * where a file does not say what they show.
 */
const plain = (text: string): string =>
  [...text]
    .map((sign) => {
      const code = sign.charCodeAt(0);
      const own = code >= 11 && code <= 15 ? code - 11 : code >= 27 && code <= 31 ? code - 27 : code - 0xfb00;
      return own >= 0 && own < 7 && (code < 32 || code > 255)
        ? ["ff", "fi", "fl", "ffi", "ffl", "st", "st"][own]!
        : sign;
    })
    .join("");

/** The size that most letters have, in steps of half a point. */
function bodySize(pages: readonly PageLines[]): number {
  const weights = new Map<number, number>();
  for (const { size, text } of pages.flatMap(({ groups }) => groups.flat())) {
    const step = Math.round(size * 2) / 2;
    weights.set(step, (weights.get(step) ?? 0) + text.length);
  }
  return [...weights].reduce((best, one) => (one[1] > best[1] ? one : best), [10, 0])[0];
}

const marker = /^(?:[•‣▪●○◦–—*·-]|\(?(?:\d{1,3}|[a-z])[.)])\s+/;

/** Puts pages together into headings, paragraphs, lists and tables. */
export class PdfBlocks {
  readonly blocks: Block[] = [];
  private readonly body: number;
  private readonly levels: number[];
  private readonly isRunning: (page: PageLines, line: Line) => boolean;
  private readonly words = new Set<string>();
  private open: { lines: string[]; from: number; to: number; last: Line; bullet: boolean } | undefined;

  constructor(private readonly pages: readonly PageLines[]) {
    this.body = bodySize(pages);
    this.isRunning = running(pages);
    const lines = pages.flatMap((page) => page.groups.flat().filter((line) => !this.isRunning(page, line)));
    const sizes = lines.filter((line) => this.isLarge(line)).map(({ size }) => Math.round(size * 2) / 2);
    this.levels = [...new Set(sizes)].sort((a, b) => b - a);
    for (const { text } of lines)
      for (const word of plain(text).match(/[\p{L}-]{3,}/gu) ?? []) this.words.add(word.toLowerCase());
  }

  private isLarge({ size, text }: Line): boolean {
    return size >= 1.1 * this.body && size > this.body + 0.7 && text.length <= 160 && /\p{L}/u.test(text);
  }

  /** The level of a heading from 1, or `undefined` where a line is none. */
  private level(line: Line, before: Line | undefined, next: Line | undefined): number | undefined {
    if (this.isLarge(line)) return Math.min(6, this.levels.indexOf(Math.round(line.size * 2) / 2) + 1);
    const apart = before === undefined || before.y - line.y > 1.3 * line.size || before.bold !== line.bold;
    const isShort =
      line.text.length <= 90 && !/[.,;:]$/.test(line.text) && /\p{L}/u.test(line.text) && line.cells.length === 1;
    if (!line.bold || !apart || !isShort || next?.bold === true) return undefined;
    return Math.min(6, this.levels.length + 1);
  }

  build(): Block[] {
    for (const page of this.pages)
      for (const group of page.groups)
        this.group(
          page,
          group.filter((line) => !this.isRunning(page, line)),
        );
    this.flush();
    return this.blocks;
  }

  private group(page: PageLines, lines: readonly Line[]): void {
    for (let index = 0; index < lines.length; index++) {
      const table = tableAt(lines, index);
      if (table > 1) {
        this.flush();
        const rows = lines.slice(index, index + table);
        this.blocks.push({
          kind: "table",
          rows: cellsOf(rows),
          head: isHead(rows),
          place: this.at(page.number, page.number),
        });
        index += table - 1;
      } else this.line(page.number, lines[index]!, lines[index - 1], lines[index + 1]);
    }
  }

  private line(page: number, line: Line, before: Line | undefined, next: Line | undefined): void {
    const level = this.level(line, before, next);
    const text = plain(line.text);
    if (level !== undefined) {
      this.flush();
      const last = this.blocks.at(-1);
      // a heading over two lines
      if (
        before &&
        last?.kind === "heading" &&
        last.level === level &&
        last.place?.to === page &&
        before.y - line.y < 1.9 * line.size &&
        Math.abs(before.size - line.size) < 0.6
      )
        this.blocks[this.blocks.length - 1] = { ...last, text: `${last.text} ${text}` };
      else this.blocks.push({ kind: "heading", level, text, place: this.at(page, page) });
      return;
    }
    const bullet = marker.test(text);
    if (!this.open || bullet || !this.goesOn(this.open, line, page)) {
      this.flush();
      this.open = { lines: [text], from: page, to: page, last: line, bullet };
    } else {
      this.open.lines.push(text);
      this.open.to = page;
      this.open.last = line;
    }
  }

  /** Whether a line belongs to the paragraph that is open. */
  private goesOn({ last, to, lines }: NonNullable<PdfBlocks["open"]>, line: Line, page: number): boolean {
    if (Math.abs(last.size - line.size) > 0.6) return false;
    const ended = /[.!?:;。）)”"]$/.test(lines.at(-1)!);
    const above = last.y - line.y;
    // on another page or in another column: where the sentence is not over
    if (page !== to || above <= 0) return !ended || /^\p{Ll}/u.test(line.text);
    if (above > 1.75 * line.size) return false;
    const indented = line.x > last.x + 0.8 * line.size && ended;
    return !indented && !(ended && last.right < line.right - 6 * line.size);
  }

  private at(from: number, to: number): Block["place"] {
    return { unit: "page", from, to };
  }

  private flush(): void {
    const { open } = this;
    this.open = undefined;
    if (!open) return;
    const text = this.joined(open.lines);
    const place = this.at(open.from, open.to);
    if (!open.bullet) this.blocks.push({ kind: "paragraph", text, place });
    else {
      const mark = /^\(?(?:\d|[a-z][.)])/.test(text) ? marker.exec(text)![0].trim() : "-";
      const item = { text: text.replace(marker, ""), marker: mark };
      const last = this.blocks.at(-1);
      if (last?.kind === "list" && last.place?.to === open.from)
        this.blocks[this.blocks.length - 1] = { ...last, items: [...last.items, item] };
      else this.blocks.push({ kind: "list", items: [item], place });
    }
  }

  /** Lines as one text; a word that was parted at the end of a line is whole again. */
  private joined(lines: readonly string[]): string {
    let text = "";
    for (const line of lines) {
      const parted = /([\p{L}-]*\p{L})(?:-|\u00ad|‐)$/u.exec(text);
      const rest = /^\p{Ll}[\p{L}]*/u.exec(line)?.[0];
      if (!parted || rest === undefined)
        text += text === "" ? line : `${/[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}]$/u.test(text) ? "" : " "}${line}`;
      else {
        const whole = `${parted[1]}${rest}`.toLowerCase();
        const kept = !this.words.has(whole) && this.words.has(`${parted[1]}-${rest}`.toLowerCase());
        text = `${kept ? text : text.slice(0, -1)}${line}`;
      }
    }
    return text.replaceAll("\u00ad", "");
  }
}

/** How many lines from one on are rows of a table: at least two of them, with cells that begin at the same places. */
function tableAt(lines: readonly Line[], from: number): number {
  const first = lines[from]!;
  if (first.cells.length < 2 || marker.test(first.text)) return 0;
  let count = 1;
  for (; from + count < lines.length; count++) {
    const line = lines[from + count]!;
    const before = lines[from + count - 1]!;
    if (line.cells.length < 2 || before.y - line.y > 3 * line.size || before.y <= line.y) break;
    if (Math.abs(line.size - first.size) > 0.6) break;
    const near = line.cells.filter((cell) =>
      first.cells.some(
        (one) =>
          Math.abs(one.x - cell.x) < 12 ||
          Math.abs(one.right - cell.right) < 12 ||
          Math.abs(one.x + one.right - cell.x - cell.right) < 16,
      ),
    );
    if (near.length < 2) break;
  }
  // lines of text that are spread over the width of a column have gaps too, and little ones
  const rows = lines.slice(from, from + count);
  const empty = rows.map(
    ({ cells, x, right }) => 1 - cells.reduce((sum, cell) => sum + cell.right - cell.x, 0) / (right - x),
  );
  return empty.reduce((sum, share) => sum + share, 0) / count >= 0.2 ? count : 0;
}

/** The cells of rows by column; columns are told by where the cells of the widest row stand. */
function cellsOf(rows: readonly Line[]): string[][] {
  const widest = rows.reduce((best, row) => (row.cells.length > best.cells.length ? row : best));
  return rows.map((row) => {
    const cells = new Array<string>(widest.cells.length).fill("");
    for (const cell of row.cells) {
      const distance = (one: Line["cells"][number]) =>
        Math.max(0, Math.max(one.x, cell.x) - Math.min(one.right, cell.right));
      let best = 0;
      for (const [index, one] of widest.cells.entries())
        if (distance(one) < distance(widest.cells[best]!)) best = index;
      cells[best] = plain(cells[best] === "" ? cell.text : `${cells[best]} ${cell.text}`);
    }
    return cells;
  });
}

const isHead = ([first]: readonly Line[]): boolean => first!.bold || first!.cells.every(({ text }) => !/\d/.test(text));
