import { LineBlocks } from "./line-blocks.js";
import type { Block, Reader } from "./reader.js";

const inline = (text: string): string =>
  text
    .replace(/``([^`]+)``/g, "`$1`")
    .replace(/:[\w:+-]+:`([^`<]+?)\s*<[^`>]*>`/g, "$1")
    .replace(/:[\w:+-]+:`~?([^`]+)`/g, "`$1`")
    .replace(/(?<![`\w])`([^`<]+?)\s*<[^`>]*>`__?/g, "$1")
    .replace(/(?<![`\w])`([^`]+)`__?/g, "$1")
    .replace(/\[#?([\w-]+)\]_/g, "[$1]")
    .replace(/\|([^|\s][^|]*)\|_?/g, "$1");

const adornment = /^([!-/:-@[-`{-~])\1+\s*$/;
const width = (text: string): number =>
  [...text].reduce(
    (sum, sign) => sum + (/[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60]/.test(sign) ? 2 : 1),
    0,
  );
const indent = (line: string): number => line.search(/\S/);
const admonitions =
  /^(?:attention|caution|danger|error|hint|important|note|tip|warning|seealso|deprecated|versionadded|versionchanged|versionremoved|todo|admonition)$/;
const codes =
  /^(?:code|code-block|sourcecode|highlight|prompt|parsed-literal|doctest|testcode|ipython|productionlist|math)$/;
const nothing =
  /^(?:image|toctree|contents|include|literalinclude|highlight|index|currentmodule|module|automodule|autoclass|autofunction|raw|only-html|tabularcolumns|sectnum|default-role|role|replace|unicode|meta|class|container-class)$/;

/** reStructuredText: sections by their underlines, literal blocks, directives, lists, tables. */
class Rst {
  private readonly out = new LineBlocks(inline);
  private readonly styles: string[] = [];

  constructor(private readonly lines: readonly string[]) {}

  read(): Block[] {
    this.part(0, this.lines.length, 0);
    this.out.end();
    return this.out.blocks;
  }

  private at(row: number): string {
    return this.lines[row] ?? "";
  }

  /** The last row of what is indented more than `depth` from a row on, blank lines among it. */
  private indented(row: number, to: number, depth: number): number {
    let last = row - 1;
    for (let at = row; at < to; at++) {
      if (this.at(at).trim() === "") continue;
      if (indent(this.at(at)) <= depth) break;
      last = at;
    }
    return last;
  }

  private part(from: number, to: number, depth: number): void {
    for (let row = from; row < to; row++) row = this.row(row, to, depth);
  }

  private row(row: number, to: number, depth: number): number {
    const line = this.at(row);
    if (line.trim() === "") {
      this.out.endParagraph();
      return row;
    }
    const heading = this.heading(row);
    if (heading !== undefined) return heading;
    const text = line.trim();
    if (/^\+[-=+]{3,}\+$/.test(text)) return this.gridTable(row, to);
    if (/^=+( +=+)+$/.test(text)) return this.simpleTable(row, to);
    if (text.startsWith("..") && (text === ".." || text[2] === " ")) return this.explicit(row, to);
    if (/^>>> /.test(text)) {
      let end = row;
      while (end + 1 < to && this.at(end + 1).trim() !== "") end++;
      this.out.code(this.lines.slice(row, end + 1), "python", row, end);
      return end;
    }
    return this.text(row, to, depth);
  }

  private heading(row: number): number | undefined {
    const over = adornment.test(this.at(row)) && this.at(row).trim().length >= 3;
    const [titleRow, underRow] = over ? [row + 1, row + 2] : [row, row + 1];
    const title = this.at(titleRow);
    const under = this.at(underRow).trimEnd();
    const sign = under[0];
    if (
      !adornment.test(under) ||
      title.trim() === "" ||
      adornment.test(title) ||
      under.length < Math.min(3, title.trim().length)
    )
      return over ? (this.lines[row + 1]?.trim() === "" || row + 1 >= this.lines.length ? row : undefined) : undefined;
    if (over && (this.at(row)[0] !== sign || this.at(row).trimEnd().length < width(title.trim()))) return undefined;
    if (!over && (/^\s/.test(title) || under.length + 1 < width(title.trim()))) return undefined;
    const style = `${over ? "over" : ""}${sign}`;
    if (!this.styles.includes(style)) this.styles.push(style);
    this.out.heading(this.styles.indexOf(style) + 1, title.trim(), row, underRow);
    return underRow;
  }

  /** What begins with "..": a directive, a footnote, a target, or a comment, which says nothing. */
  private explicit(row: number, to: number): number {
    const depth = indent(this.at(row));
    const last = Math.max(row, this.indented(row + 1, to, depth));
    const text = this.at(row).trim().slice(2).trim();
    const note = /^\[#?([\w*.-]*)\]\s*(.*)$/.exec(text);
    if (note) {
      const rest = this.lines.slice(row + 1, last + 1).map((line) => line.trim());
      this.out.add(
        { kind: "paragraph", text: inline(`[${note[1]}] ${[note[2], ...rest].join(" ")}`.replace(/\s+/g, " ").trim()) },
        row,
        last,
      );
      return last;
    }
    const directive = /^(?:\|[^|]+\|\s+)?([\w:+.-]+)::(?:\s+(.*))?$/.exec(text);
    this.out.end();
    if (directive) this.directive(directive[1]!.replace(/^.*:/, ""), directive[2] ?? "", row, last, depth);
    return last;
  }

  private directive(name: string, given: string, row: number, last: number, depth: number): void {
    let body = row + 1;
    while (body <= last && /^\s*:[\w-]+:/.test(this.at(body))) body++;
    if (codes.test(name))
      return this.out.code(
        this.lines.slice(body, last + 1),
        name.startsWith("code") || name === "sourcecode" ? given.trim() || undefined : undefined,
        row,
        last,
      );
    if (nothing.test(name)) return;
    if (name === "list-table") return this.listTable(body, last, row);
    if (name === "csv-table")
      return this.out.table(
        this.lines
          .slice(body, last + 1)
          .filter((line) => line.trim() !== "")
          .map((line) =>
            line
              .trim()
              .split(/\s*,\s*/)
              .map((cell) => cell.replace(/^"|"$/g, "")),
          ),
        false,
        row,
        last,
      );
    const label = admonitions.test(name) ? `${name[0]!.toUpperCase()}${name.slice(1)}: ` : "";
    if (name !== "figure" && (given !== "" || label !== "")) {
      // the text of a note may stand behind its name, or below it
      let end = row;
      while (label === "" ? false : end + 1 <= last && this.at(end + 1).trim() !== "" && given !== "") end++;
      const words = [given, ...this.lines.slice(row + 1, end + 1)].map((line) => line.trim()).join(" ");
      const isObject =
        label === "" &&
        /[().]|^\w+$/.test(given) &&
        /^(?:function|method|class|attribute|data|exception|option|envvar|command|describe|macro|type|var|member|property|confval|setting)/.test(
          name,
        );
      if (isObject) this.out.heading(6, given, row);
      else this.out.add({ kind: "paragraph", text: inline(`${label}${words}`.trim()) }, row, end);
      body = Math.max(body, end + 1);
    }
    this.part(body, last + 1, indent(this.at(body)) > depth ? indent(this.at(body)) : depth + 1);
    this.out.end();
  }

  private text(row: number, to: number, depth: number): number {
    const line = this.at(row);
    const item = /^(\s*)([-*+•]|\(?(?:\d{1,3}|[a-zA-Z]|#)[.)])\s+(\S.*)$/.exec(line);
    const before = this.at(row - 1).trim();
    if (item && (before === "" || this.out.inList || row === 0)) {
      const nested = Math.floor(Math.max(0, item[1]!.length - depth) / 2);
      this.out.item(
        {
          text: item[3]!,
          depth: nested,
          marker: /^[-*+•]/.test(item[2]!) ? "-" : /^\(?#/.test(item[2]!) ? "#" : item[2]!,
        },
        row,
      );
      return row;
    }
    if (this.out.inList && indent(line) <= depth && before === "") this.out.end();
    const literal = /::$/.test(line.trimEnd());
    const shownLine = literal
      ? line.trimEnd().replace(/\s*::$/, (mark) => (/^\s/.test(mark) || line.trim() === "::" ? "" : ":"))
      : line;
    if (shownLine.trim() !== "") this.out.line(shownLine, row);
    if (!literal) return row;
    const last = this.indented(row + 1, to, indent(line));
    if (last <= row) return row;
    this.out.code(
      this.lines
        .slice(row + 1, last + 1)
        .filter((one, index, all) => one.trim() !== "" || (index > 0 && index < all.length - 1)),
      undefined,
      row + 1,
      last,
    );
    return last;
  }

  private gridTable(row: number, to: number): number {
    let end = row;
    while (end + 1 < to && /^\s*[+|]/.test(this.at(end + 1))) end++;
    const rows: string[][] = [];
    let head = false;
    let cells: string[] = [];
    for (let at = row; at <= end; at++) {
      const text = this.at(at).trim();
      if (/^\+[-=+]+\+$/.test(text)) {
        if (cells.length > 0) rows.push(cells);
        if (text.includes("=") && rows.length === 1) head = true;
        cells = [];
      } else
        for (const [index, cell] of text
          .slice(1, text.endsWith("|") ? -1 : undefined)
          .split(/[|+]/)
          .entries())
          cells[index] = `${cells[index] ?? ""} ${cell}`;
    }
    this.out.table(rows, head, row, end);
    return end;
  }

  private simpleTable(row: number, to: number): number {
    const marks = [...this.at(row).matchAll(/=+/g)].map(({ index, 0: sign }) => [index, index + sign.length] as const);
    const rows: string[][] = [];
    let borders = 0;
    let end = row;
    for (let at = row; at < to; at++) {
      const line = this.at(at);
      if (/^\s*=+( +=+)*\s*$/.test(line)) {
        borders++;
        end = at;
        // a table with a head has three borders, one without has two
        if (borders === 3 || (borders === 2 && this.at(at + 1).trim() === "")) break;
        continue;
      }
      if (line.trim() === "" || /^\s*-+( +-+)*\s*$/.test(line)) continue;
      const cells = marks.map(([from], index) =>
        line.slice(from, index === marks.length - 1 ? undefined : marks[index + 1]![0]).trim(),
      );
      const last = rows.at(-1);
      if (cells[0] === "" && last && borders > 1)
        for (const [index, cell] of cells.entries()) last[index] = `${last[index]} ${cell}`.trim();
      else rows.push(cells);
      end = at;
    }
    this.out.table(rows, borders === 3, row, end);
    return end;
  }

  private listTable(from: number, to: number, row: number): void {
    const rows: string[][] = [];
    for (let at = from; at <= to; at++) {
      const text = this.at(at).trim();
      const cell = /^(?:\*\s+)?-(?:\s+(.*))?$/.exec(text);
      if (text.startsWith("* ")) rows.push([]);
      if (cell) rows.at(-1)?.push(cell[1] ?? "");
      else if (text !== "" && rows.at(-1)?.length) rows.at(-1)![rows.at(-1)!.length - 1] += ` ${text}`;
    }
    const head = this.lines.slice(row, from).some((line) => /:header-rows:\s*[1-9]/.test(line));
    this.out.table(rows, head, row, to);
  }
}

export const rstReader: Reader = {
  name: "rst",
  version: 1,
  extensions: ["rst", "rest"],
  async read({ bytes }, context) {
    const text = await context.text(bytes);
    return { kind: "blocks", blocks: new Rst(text.replaceAll("\t", "        ").split("\n")).read() };
  },
};
