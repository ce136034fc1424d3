import { LineBlocks } from "./line-blocks.js";
import type { Block, Reader } from "./reader.js";

const plainInline = (text: string): string =>
  text
    .replace(/footnote(?:ref)?:[\w-]*\[((?:\\\]|[^\]])*)\]/g, " ($1)")
    .replace(/(?:link|mailto):[^\s[]+\[([^\]]*)\]/g, "$1")
    .replace(/\b(https?:\/\/[^\s[\]]+)\[([^\]]*)\]/g, (_, url, name) => name.replace(/\^$|,.*$/, "") || url)
    .replace(/xref:[^\s[]+\[([^\]]*)\]/g, "$1")
    .replace(/<<[^,>]*,([^>]*)>>/g, "$1")
    .replace(/<<([^>]*)>>/g, "$1")
    .replace(/\[\[[^\]]*\]\]/g, "")
    .replace(/image:[^\s[]+\[([^\]]*)\]/g, "$1")
    .replace(/(?:kbd|btn|menu|stem|latexmath|pass):[a-z]*\[([^\]]*)\]/g, "$1")
    .replace(/`\+([^+`]+)\+`/g, "`$1`")
    .replace(/ \+$/gm, "");

const oldLevels = "=-~^+";
/** The end of a delimited block is the line that began it. */
const delimiter = /^(?:-{4,}|\.{4,}|={4,}|\*{4,}|_{4,}|\+{4,}|\/{4,}|`{3,}\w*|--|[|,:!]={3,})$/;

/** AsciiDoc: sections, listings, lists, tables and admonitions. */
class AsciiDoc {
  private readonly out: LineBlocks;
  private readonly attributes = new Map<string, string>();
  private pending = ""; // the attributes of the block that follows: "source,java"
  title: string | undefined;

  constructor(private readonly lines: readonly string[]) {
    this.out = new LineBlocks((text) => plainInline(this.filled(text)));
  }

  /** References to attributes as what they stand for. */
  private filled(text: string): string {
    return text.replace(/\{([\w-]+)\}/g, (whole, name) => this.attributes.get(name) ?? whole);
  }

  read(): Block[] {
    this.part(0, this.lines.length);
    this.out.end();
    return this.out.blocks;
  }

  private part(from: number, to: number): void {
    for (let row = from; row < to; row++) row = this.row(row, to);
  }

  /** Reads what begins at a row, and returns the last row of it. */
  private row(row: number, to: number): number {
    const line = this.lines[row]!.trimEnd();
    const { out } = this;
    if (line === "") {
      out.endParagraph();
      return row;
    }
    const attribute = /^:(!?[\w-]+!?):(?:\s+(.*))?$/.exec(line);
    if (attribute) {
      this.attributes.set(attribute[1]!, attribute[2] ?? "");
      return row;
    }
    if (
      /^\/\/(?!\/)/.test(line) ||
      /^(?:include|ifdef|ifndef|ifeval|endif|toc|image|video|audio)::/.test(line) ||
      line === "'''" ||
      line === "<<<"
    )
      return row;
    const heading = /^(={1,6}|#{1,6})\s+(\S.*)$/.exec(line);
    if (heading) return this.heading(heading[1]!.length - 1, heading[2]!, row, row);
    const under = this.lines[row + 1]?.trimEnd() ?? "";
    if (
      row + 1 < to &&
      /^([=\-~^+])\1{2,}$/.test(under) &&
      Math.abs(under.length - line.length) <= 2 &&
      /^[\p{L}\p{N}]/u.test(line)
    )
      return this.heading(oldLevels.indexOf(under[0]!), line, row, row + 1);
    if (/^\[.*\]$/.test(line)) {
      this.pending = /^\[\[/.test(line) ? this.pending : line.slice(1, -1);
      out.endParagraph();
      return row;
    }
    if (/^\.[^\s.]/.test(line)) {
      out.end();
      out.line(line.slice(1), row);
      out.endParagraph();
      return row;
    }
    if (delimiter.test(line)) return this.delimited(line, row, to);
    return this.text(line, row);
  }

  private heading(level: number, text: string, row: number, last: number): number {
    if (level === 0) this.title ??= plainInline(text);
    this.out.heading(level, text, row, last);
    this.pending = "";
    return last;
  }

  private delimited(mark: string, row: number, to: number): number {
    const closing = mark.startsWith("```") ? "```" : mark;
    let end = row + 1;
    while (end < to && this.lines[end]!.trimEnd() !== closing) end++;
    const attributes = this.pending;
    this.pending = "";
    const body = this.lines.slice(row + 1, end);
    const [style = "", language] = attributes.split(",").map((one) => one.trim());
    const last = Math.min(end, to - 1);
    if (/^[|,:!]=/.test(mark)) this.table(body, attributes, row, last);
    else if (mark.startsWith("/")) this.out.end();
    else if (mark.startsWith("+")) this.out.end();
    else if (/^[-.`]/.test(mark) && mark !== "--")
      this.out.code(
        body,
        /^`{3}(\w+)/.exec(mark)?.[1] ?? (style === "source" || style === "" ? language : undefined),
        row,
        last,
      );
    else {
      this.out.end();
      if (/^[A-Z]+$/.test(style)) this.out.line(`${style}:`, row);
      this.out.endParagraph();
      if (style === "source" || style === "listing") this.out.code(body, language, row, last);
      else this.part(row + 1, end);
      this.out.end();
    }
    return last;
  }

  private text(line: string, row: number): number {
    const { out } = this;
    const item = /^\s*(\*{1,5}|-|\.{1,5}|\d+\.|[a-z]\.|•)\s+(?:\[[ x*]\]\s+)?(\S.*)$/.exec(line);
    if (item) {
      const [, sign = "-", text = ""] = item;
      const depth = /^[*.]+$/.test(sign) ? sign.length - 1 : Math.floor(line.search(/\S/) / 2);
      out.item(
        { text, depth: Math.max(0, depth), marker: sign.startsWith(".") ? "#" : /^\d/.test(sign) ? sign : "-" },
        row,
      );
      this.pending = "";
      return row;
    }
    const term = /^(\S.*?):{2,4}(?:\s+(.*))?$/.exec(line);
    if (term && !/^\w+::\S/.test(line)) {
      out.item({ text: `${term[1]}:${term[2] ? ` ${term[2]}` : ""}` }, row);
      return row;
    }
    if (line === "+") return row;
    // a paragraph that is indented is literal, but for one of a list
    if (/^\s/.test(line) && !out.inList && this.pending === "") {
      let end = row;
      while (end + 1 < this.lines.length && /^\s+\S/.test(this.lines[end + 1]!)) end++;
      out.code(this.lines.slice(row, end + 1), undefined, row, end);
      return end;
    }
    if (/^source|^listing/.test(this.pending)) {
      let end = row;
      while (end + 1 < this.lines.length && this.lines[end + 1]!.trim() !== "") end++;
      out.code(this.lines.slice(row, end + 1), this.pending.split(",")[1]?.trim(), row, end);
      this.pending = "";
      return end;
    }
    const before = this.lines[row - 1]?.trim() ?? "";
    // a list ends with an empty line, unless a "+" ties on what follows
    if (out.inList && before === "") out.end();
    if (this.pending !== "" && /^[A-Z]+$/.test(this.pending)) out.line(`${this.pending}: ${line}`, row);
    else out.line(line, row);
    this.pending = "";
    return row;
  }

  /** Cells begin with "|"; a row has as many as there are columns, or as stand on the first line. */
  private table(body: readonly string[], attributes: string, row: number, last: number): void {
    const filled = body.map((line) => line.trimEnd());
    const columns = /cols\s*=\s*"?([^"\]]+)"?/.exec(attributes)?.[1];
    const stated = columns
      ? columns.split(/[,;]/).reduce((sum, one) => sum + (Number(/^(\d+)\*/.exec(one.trim())?.[1]) || 1), 0)
      : 0;
    const cellsOf = (line: string): string[] =>
      line.split(/(?<!\\)(?:(?:\d+(?:\.\d+)?[+*])?[<^>.]*[aehlmdsv]?)?\|/).slice(1);
    const first = filled.findIndex((line) => line !== "");
    const width = stated || cellsOf(filled[first] ?? "").length;
    const cells: string[] = [];
    for (const line of filled) {
      const [before = "", ...found] = line.includes("|")
        ? [line.slice(0, line.indexOf("|")), ...cellsOf(line)]
        : [line];
      if (!line.includes("|") && cells.length > 0) cells[cells.length - 1] += ` ${before}`;
      cells.push(...found);
    }
    const rows: string[][] = [];
    for (let at = 0; at < cells.length && width > 0; at += width) rows.push(cells.slice(at, at + width));
    const head = /header/.test(attributes) || (first === 0 && filled[1] === "" && rows.length > 1);
    this.out.table(rows, head, row, last);
  }
}

export const asciidocReader: Reader = {
  name: "asciidoc",
  version: 1,
  extensions: ["adoc", "asciidoc", "asc"],
  async read({ bytes }, context) {
    const text = await context.text(bytes);
    // signatures of PGP have the extension .asc too
    if (text.startsWith("-----BEGIN PGP")) return { kind: "text", text, language: "text" };
    const document = new AsciiDoc(text.split("\n"));
    const blocks = document.read();
    return { kind: "blocks", title: document.title, blocks };
  },
};
