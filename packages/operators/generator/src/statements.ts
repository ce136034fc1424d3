import { sentencesIn } from "./sentences.js";

/** What can be quoted of a text by itself. */
export interface Statement {
  /** A sentence on one line; the lines of an item, a block of code or a row as they stand, without what indents all. */
  readonly text: string;
  readonly kind: "sentence" | "item" | "code" | "row";
  /** Which list, block of code or table it is of; sentences of a paragraph share one too. */
  readonly block: number;
  /** Of a table: the lines of its head. */
  readonly head?: string;
  /** The index of the sentence before its block, which leads in to it. */
  readonly lead?: number;
}

const heading = /^ {0,3}#{1,6}(?:\s|$)/;
const underline = /^ {0,3}(?:=+|-+)\s*$/;
const fence = /^(\s*)(`{3,}|~{3,})/;
const bullet = /^(\s*)(?:[-*+•]|\d{1,3}[.)]|\(?[a-z]\))\s+\S/;
const row = /^\s*\|.*\|\s*$/;
const rule = /^ {0,3}(?:[-*_]\s*){3,}$/;
const dividers = /^\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*$/;

/** Whether a line says something besides pictures, badges, anchors and comments. */
const says = (text: string): boolean =>
  /[\p{L}\p{N}]/u.test(
    text
      .replace(/<!--[\s\S]*?-->|<[^>]*>/g, "")
      .replace(/\[?!\[[^\]]*\]\([^)]*\)(?:\]\([^)]*\))?/g, "")
      .replace(/\{#[^}]*\}/g, ""),
  );

const withoutQuote = (line: string): string => line.replace(/^ {0,3}>\s?/, "");

function undented(lines: readonly string[]): string {
  const depths = lines.filter((line) => line.trim() !== "").map((line) => line.search(/\S/));
  const depth = Math.min(...depths);
  return lines.map((line) => line.slice(depth).trimEnd()).join("\n");
}

/** Reads the statements of a text in Markdown, or in plain paragraphs, in order. Headings are none: they lead to what follows. */
export function statementsOf(text: string): Statement[] {
  const lines = text.split(/\r\n?|\n/);
  const found: Statement[] = [];
  let block = 0;
  let lead: number | undefined; // the last sentence, where nothing but blank lines stands between
  const add = (kind: Statement["kind"], said: string, more: Partial<Statement> = {}) => {
    if (!says(said)) return;
    found.push({ text: said, kind, block, ...(lead !== undefined && kind !== "sentence" && { lead }), ...more });
  };
  let at = 0;
  if (/^---\s*$/.test(lines[0] ?? "")) {
    const end = lines.findIndex((line, index) => index > 0 && /^---\s*$/.test(line));
    if (end > 0) at = end + 1;
  }
  while (at < lines.length) {
    const line = lines[at]!;
    const begin = at;
    if (line.trim() === "") {
      at++;
      continue;
    }
    block++;
    const mark = fence.exec(line)?.[2];
    if (mark !== undefined) {
      at++;
      while (at < lines.length && !(lines[at]!.trim().startsWith(mark) && /^[`~]+$/.test(lines[at]!.trim()))) at++;
      at++;
      add("code", undented(lines.slice(begin, at)));
      lead = undefined;
    } else if (heading.test(line) || rule.test(line)) {
      at++;
      lead = undefined;
    } else if (underline.test(lines[at + 1] ?? "") && !bullet.test(line) && !row.test(line)) {
      at += 2;
      lead = undefined;
    } else if (
      row.test(line) ||
      (line.includes("|") && dividers.test(lines[at + 1] ?? "") && /\|/.test(lines[at + 1]!))
    ) {
      while (at < lines.length && lines[at]!.includes("|")) at++;
      const table = lines.slice(begin, at);
      const head = dividers.test(table[1] ?? "") ? table.slice(0, 2) : [];
      for (const one of table.slice(head.length))
        add("row", one.trim(), head.length > 0 ? { head: undented(head) } : {});
      lead = undefined;
    } else if (bullet.test(line)) {
      at = readList(lines, at, (item) => add("item", item));
      lead = undefined;
    } else if (/^(?: {4}|\t)/.test(line)) {
      while (at < lines.length && (/^(?: {4}|\t)/.test(lines[at]!) || lines[at]!.trim() === "")) at++;
      let end = at;
      while (lines[end - 1]!.trim() === "") end--;
      add("code", undented(lines.slice(begin, end)));
      lead = undefined;
    } else {
      while (
        at < lines.length &&
        lines[at]!.trim() !== "" &&
        !(
          at > begin &&
          (heading.test(lines[at]!) || fence.test(lines[at]!) || bullet.test(lines[at]!) || row.test(lines[at]!))
        )
      )
        at++;
      const paragraph = lines.slice(begin, at).map(withoutQuote).join("\n");
      const before = found.length;
      if (says(paragraph)) for (const sentence of sentencesIn(paragraph)) add("sentence", sentence);
      lead = found.length > before ? found.length - 1 : undefined;
    }
  }
  return found;
}

/** Reads a list, item by item with what is indented below it, and returns the line after it. */
function readList(lines: readonly string[], from: number, item: (text: string) => void): number {
  let at = from;
  while (at < lines.length && bullet.test(lines[at]!)) {
    const depth = bullet.exec(lines[at]!)![1]!.length;
    const begin = at++;
    while (at < lines.length) {
      const line = lines[at]!;
      const next = lines[at + 1] ?? "";
      const indented = line.search(/\S/) > depth;
      if (
        line.trim() === ""
          ? !(next.search(/\S/) > depth)
          : !indented && (bullet.test(line) || heading.test(line) || fence.test(line))
      )
        break;
      if (bullet.test(line)) break;
      at++;
    }
    item(undented(lines.slice(begin, at)).trimEnd());
    if (lines[at]?.trim() === "" && bullet.test(lines[at + 1] ?? "")) at++;
  }
  return at;
}
