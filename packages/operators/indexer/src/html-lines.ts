import type { DefaultTreeAdapterTypes, parse as parseHtml } from "parse5";
import type { Heading } from "./sections.js";

type Node = DefaultTreeAdapterTypes.ChildNode;

/** A page as lines of text, with its headings, and the line of the source that each begins on. */
interface HtmlLines {
  readonly title: string | undefined;
  readonly lines: readonly string[];
  readonly headings: readonly Heading[];
  readonly inside: readonly boolean[];
  readonly sources: readonly number[];
}

const words = (names: string): ReadonlySet<string> => new Set(names.split(" "));
const silent = words("script style template noscript head svg math iframe object canvas select button textarea nav");
const blocks = words(
  "address article aside blockquote body dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr html li main ol p pre section summary table tbody td tfoot th thead tr ul",
);
const spaced = words("p pre h1 h2 h3 h4 h5 h6 ul ol table blockquote section article figure dl div");

/** Writes text as a browser would lay it out in lines. */
class Writer {
  readonly lines: string[] = [];
  readonly headings: Heading[] = [];
  readonly inside: boolean[] = [];
  readonly sources: number[] = [];
  private line = "";
  private source = 1;
  private wanted = false; // an empty line before the next text

  constructor(readonly html: string) {}

  write(text: string, line: number): void {
    const joined = text.replace(/\s+/g, " ");
    const part = this.line === "" ? joined.trimStart() : this.line.endsWith(" ") ? joined.trimStart() : joined;
    if (part === "") return;
    if (this.line === "") this.source = line;
    this.line += part;
  }

  /** Ends the line, and with `gap` wants an empty one after it. */
  end(gap = false): void {
    const line = this.line.trim();
    if (line !== "") this.put(line, this.source, false);
    this.line = "";
    this.wanted ||= gap && this.lines.length > 0;
  }

  put(line: string, source: number, inside: boolean): void {
    if (this.wanted && this.lines.at(-1) !== "") this.push("", source, false);
    this.wanted = false;
    this.push(line, source, inside);
  }

  private push(line: string, source: number, inside: boolean): void {
    this.lines.push(line);
    this.sources.push(source);
    this.inside.push(inside);
  }
}

/** Text of a node and of all below it. */
const textOf = (node: Node): string =>
  "value" in node ? node.value : "childNodes" in node ? node.childNodes.map(textOf).join("") : "";

function walk(node: Node, writer: Writer, line: number): void {
  const at = node.sourceCodeLocation?.startLine ?? line;
  if (node.nodeName === "#text" && "value" in node) return writer.write(node.value, at);
  if (!("tagName" in node) || silent.has(node.tagName)) return;
  const { tagName } = node;
  const gap = spaced.has(tagName);
  const block = blocks.has(tagName);
  if (block) writer.end(gap);
  if (tagName === "br") return writer.end();
  if (tagName === "pre") {
    // a line feed right after the tag is not part of the text
    const tag = node.sourceCodeLocation?.startTag;
    const first = tag ? tag.endLine + Number(/^\r?\n/.test(writer.html.slice(tag.endOffset, tag.endOffset + 2))) : at;
    for (const [row, text] of textOf(node).trimEnd().split("\n").entries()) writer.put(text, first + row, true);
    return writer.end(true);
  }
  if (tagName === "li") writer.write("- ", at);
  for (const child of node.childNodes) {
    if ("tagName" in child && (child.tagName === "td" || child.tagName === "th")) {
      // the cells of a row stand in one line
      writer.write(
        `${child === node.childNodes.find((one) => "tagName" in one) ? "" : " | "}${textOf(child).trim()}`,
        at,
      );
    } else walk(child, writer, at);
  }
  if (!block) return;
  const before = writer.lines.length;
  writer.end(gap);
  const level = /^h([1-6])$/.exec(tagName)?.[1];
  const rows = writer.lines.slice(before);
  const text = rows.filter((row) => row !== "").join(" ");
  if (level && text !== "")
    writer.headings.push({
      row: before + (rows[0] === "" ? 1 : 0),
      rows: rows.length - (rows[0] === "" ? 1 : 0),
      level: Number(level),
      text,
    });
}

/** The first title of a page. */
function titleIn(node: Node): string | undefined {
  if ("tagName" in node && node.tagName === "title") return textOf(node).replace(/\s+/g, " ").trim() || undefined;
  if (!("childNodes" in node)) return undefined;
  for (const child of node.childNodes) {
    const title = titleIn(child);
    if (title !== undefined) return title;
  }
  return undefined;
}

/** Reads HTML, however broken, as lines of text: blocks end lines, preformatted text keeps its own, scripts say nothing. */
export function htmlLines(html: string, parse: typeof parseHtml): HtmlLines {
  const writer = new Writer(html);
  const { childNodes } = parse(html, { sourceCodeLocationInfo: true });
  for (const node of childNodes) walk(node, writer, 1);
  writer.end();
  const [title] = childNodes.flatMap((node) => titleIn(node) ?? []);
  const { lines, headings, inside, sources } = writer;
  return { title, lines, headings, inside, sources };
}
