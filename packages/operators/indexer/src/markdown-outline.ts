import { isBlank } from "./line.js";
// A circle of types: sections are cut along an outline, and an outline says where sections begin.
import type { Heading, Outline } from "./sections.js";

/** A heading in plain words: without emphasis, code marks, link targets and closing hashes. */
const plain = (heading: string): string =>
  heading
    .replace(/\s+#+\s*$/, "")
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[`*]/g, "")
    .trim();

/** The headings outside fences and front matter, and which rows stand inside a fence or the front matter. */
export function markdownOutline(lines: readonly string[]): Outline {
  const headings: Heading[] = [];
  const inside: boolean[] = [];
  let fence: string | undefined;
  const frontMatter = /^---\s*$/.test(lines[0] ?? "")
    ? lines.findIndex((line, row) => row > 0 && /^---\s*$/.test(line))
    : -1;
  for (const [row, line] of lines.entries()) {
    inside.push(fence !== undefined || (row > 0 && row <= frontMatter));
    if (row <= frontMatter) continue;
    const mark = /^ {0,3}(`{3,}|~{3,})(.*)$/.exec(line);
    if (fence !== undefined) {
      if (mark && mark[1]!.startsWith(fence) && isBlank(mark[2]!)) fence = undefined;
      continue;
    }
    if (mark && !(mark[1]!.startsWith("`") && mark[2]!.includes("`"))) {
      fence = mark[1]!;
      continue;
    }
    const atx = /^ {0,3}(#{1,6})(?:\s+(.*))?$/.exec(line);
    if (atx) headings.push({ row, level: atx[1]!.length, text: plain(atx[2] ?? "") });
    const underline = /^ {0,3}(=+|-+)\s*$/.exec(line);
    const above = lines[row - 1] ?? "";
    if (
      underline &&
      row - 1 > frontMatter &&
      !isBlank(above) &&
      !/^\s*(?:[#>|]|[-*+]\s|\d+[.)]\s|={3,}|-{3,}|`{3}|~{3})/.test(above)
    )
      headings.push({ row: row - 1, rows: 2, level: underline[1]!.startsWith("=") ? 1 : 2, text: plain(above) });
  }
  return { headings, inside };
}
