// public: latex
import { operator, type Passage } from "@tessera/core";
import { chunking } from "./chunking.js";
import { isBlank } from "./line.js";
import { linesOf, passagesOf } from "./pieces.js";
import { type Heading, type Outline, sectionsOf } from "./sections.js";

const levels = ["part", "chapter", "section", "subsection", "subsubsection", "paragraph", "subparagraph"];
const command = new RegExp(`^\\s*\\\\(${levels.join("|")})\\*?\\s*(?:\\[[^\\]]*\\]\\s*)?\\{`);
const verbatim = /^(?:verbatim|lstlisting|minted|alltt|comment)\*?$/;

/** What stands in the braces that open before `from`, over as many lines as they take, and the last of these. */
function braced(lines: readonly string[], row: number, from: number): { text: string; last: number } | undefined {
  let [depth, text] = [1, ""];
  for (let at = row; at < lines.length && at < row + 5; at++) {
    for (const character of withoutComment(lines[at]!).slice(at === row ? from : 0)) {
      if (character === "{") depth++;
      if (character === "}" && --depth === 0) return { text, last: at };
      text += character;
    }
    text += " ";
  }
  return undefined;
}

const withoutComment = (line: string): string => line.replace(/(?<!\\)((?:\\\\)*)%.*$/, "$1");

/** A heading in plain words: what commands enclose stays, labels and footnotes go. */
const plain = (heading: string): string =>
  heading
    .replace(/\\(?:label|footnote|index|cite\w*)\s*(?:\[[^\]]*\])?\{[^{}]*\}/g, "")
    .replace(/\\texorpdfstring\s*\{[^{}]*\}/g, "")
    .replace(/\\([&%$#_{}])/g, "$1")
    .replace(/\\[a-zA-Z]+\*?\s*/g, "")
    .replace(/[{}$]/g, "")
    .replace(/~|\\[,;: ]/g, " ")
    .replace(/\s+/g, " ")
    .trim();

/** The sectioning commands of a LaTeX text outside verbatim text and comments, from \part down to \subparagraph. */
function latexOutline(lines: readonly string[]): Outline {
  const headings: Heading[] = [];
  const inside: boolean[] = [];
  let environment: string | undefined;
  for (const [row, whole] of lines.entries()) {
    const line = withoutComment(whole);
    inside.push(environment !== undefined);
    if (environment !== undefined) {
      if (whole.includes(`\\end{${environment}}`)) environment = undefined;
      continue;
    }
    const begun = /\\begin\{([^}]+)\}/.exec(line)?.[1];
    if (begun !== undefined && verbatim.test(begun) && !line.includes(`\\end{${begun}}`)) environment = begun;
    const found = command.exec(line);
    const title = found && braced(lines, row, found[0].length);
    if (title)
      headings.push({ row, rows: title.last - row + 1, level: levels.indexOf(found[1]!), text: plain(title.text) });
  }
  return { headings, inside };
}

/**
 * Chunks LaTeX by its sectioning commands; title and `metadata.headings` hold the path of headings down to the section.
 * The text of a passage is LaTeX, line by line as it stands; what stands before \begin{document} is left out.
 */
export const latex = operator({
  name: "indexer.latex",
  version: 1,
  about: {
    module: "indexing",
    submodule: "structure organisation",
    paper: "Modular RAG, operator 4 (content-aware)",
    summary: "Chunks LaTeX by its sectioning commands and keeps the path of headings.",
  },
  ...chunking,
  setup:
    ({ maximum }) =>
    ({ documents }) => ({
      passages: documents.flatMap((document: Passage) => {
        const lines = linesOf(document.text);
        const body = lines.findIndex((line) => withoutComment(line).includes("\\begin{document}"));
        const kept = lines.map((line, row) => (row <= body || /^\s*\\end\{document\}/.test(line) ? "" : line));
        const pieces = sectionsOf(kept, { maximum, outline: latexOutline });
        return passagesOf(
          document,
          kept,
          pieces.filter(({ rows: [from, to] }) => !kept.slice(from, to + 1).every(isBlank)),
        );
      }),
    }),
});
