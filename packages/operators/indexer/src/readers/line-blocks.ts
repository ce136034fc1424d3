import type { Block, ListItem } from "./reader.js";

/** The blocks of a text of lines as they are found, with the lines that each stands on. Rows count from 0. */
export class LineBlocks {
  readonly blocks: Block[] = [];
  private paragraph: { from: number; lines: string[] } | undefined;
  private items: { from: number; to: number; list: ListItem[] } | undefined;

  constructor(private readonly inline: (text: string) => string = (text) => text) {}

  /** Adds a block that stands on some rows, after what is open. */
  add(block: Block, from: number, to = from): void {
    this.end();
    this.blocks.push({ ...block, lines: [from + 1, to + 1] });
  }

  heading(level: number, text: string, from: number, to = from): void {
    this.add({ kind: "heading", level, text: this.inline(text) }, from, to);
  }

  code(lines: readonly string[], language: string | undefined, from: number, to: number): void {
    const depth = Math.min(...lines.filter((line) => line.trim() !== "").map((line) => line.search(/\S/)));
    const text = lines.map((line) => line.slice(Number.isFinite(depth) ? depth : 0)).join("\n");
    if (text.trim() !== "")
      this.add({ kind: "code", text: text.replace(/^(?:[ \t]*\n)+|\s+$/g, ""), language }, from, to);
  }

  table(rows: readonly (readonly string[])[], head: boolean, from: number, to: number): void {
    const cells = rows.map((row) => row.map((cell) => this.inline(cell.replace(/\s+/g, " ").trim())));
    if (cells.some((row) => row.some((cell) => cell !== ""))) this.add({ kind: "table", rows: cells, head }, from, to);
  }

  /** A line of a paragraph, or of the item of a list that is open. */
  line(text: string, row: number): void {
    if (this.items) {
      const last = this.items.list.at(-1)!;
      this.items.list[this.items.list.length - 1] = { ...last, text: `${last.text} ${text.trim()}` };
      this.items.to = row;
      return;
    }
    this.paragraph ??= { from: row, lines: [] };
    this.paragraph.lines.push(text);
  }

  /** An item; one with the marker "#" gets its number. */
  item(item: ListItem, row: number): void {
    if (!this.items) {
      this.end();
      this.items = { from: row, to: row, list: [] };
    }
    this.items.list.push(item);
    this.items.to = row;
  }

  get inList(): boolean {
    return this.items !== undefined;
  }

  /** Ends the paragraph that is open. */
  endParagraph(): void {
    const { paragraph } = this;
    this.paragraph = undefined;
    if (!paragraph) return;
    const { from, lines } = paragraph;
    const text = this.inline(lines.map((line) => line.trim()).join("\n"));
    if (text.trim() !== "") this.blocks.push({ kind: "paragraph", text, lines: [from + 1, from + lines.length] });
  }

  /** Ends what is open: a paragraph or a list. */
  end(): void {
    this.endParagraph();
    const { items } = this;
    this.items = undefined;
    if (!items) return;
    const counts: number[] = [];
    const list = items.list.map(({ depth = 0, marker = "-", text }) => {
      counts.length = depth + 1;
      if (marker === "#") counts[depth] = (counts[depth] ?? 0) + 1;
      return { depth, marker: marker === "#" ? `${counts[depth]}.` : marker, text: this.inline(text) };
    });
    this.blocks.push({ kind: "list", items: list, lines: [items.from + 1, items.to + 1] });
  }
}
