import { describe, expect, it } from "@jest/globals";
import type { Passage } from "@tessera/core";
import { runOperator, testOperator } from "@tessera/testkit";
import { hierarchy } from "./hierarchy.js";
import { latex } from "./latex.js";

const paper = String.raw`\documentclass{article}
\newcommand{\owl}{Bubo}
\begin{document}
Abstract of it.
\section{Owls \& others\label{sec:owls}} % \section{no}
They hunt at night.
% \subsection{Commented out}
\subsection*{\textbf{Food} of
  {great} owls}
Mice, 50\% of it.
\begin{verbatim}
\section{Not a heading}
\end{verbatim}
\section[Short]{Herons}\footnote{x}
They wade.
\end{document}`;
const document: Passage = { id: "birds.tex", text: paper, metadata: {} };

testOperator(latex, {
  cases: [
    {
      name: "row 10: the headings of LaTeX form parent and child",
      input: { documents: [document] },
      output: ({ passages }) => {
        const found = passages as Passage[];
        expect(found.map(({ title, source }) => [title, source!.lines])).toEqual([
          [undefined, [4, 4]],
          ["Owls & others", [5, 7]],
          ["Owls & others > Food of great owls", [8, 13]],
          ["Herons", [14, 15]],
        ]);
        expect(found.map(({ parent }) => parent)).toEqual([undefined, undefined, found[1]!.id, undefined]);
        expect(found[2]!.text).toContain("\\section{Not a heading}");
        expect(found.map(({ text }) => text).join("\n")).not.toContain("newcommand");
      },
    },
    {
      name: "a part without a preamble is read from its beginning",
      input: { documents: [{ ...document, text: "\\chapter{One}\nText.\n\\section{Two}\nMore." }] },
      output: ({ passages }) =>
        expect((passages as Passage[]).map(({ metadata }) => metadata.headings)).toEqual([["One"], ["One", "Two"]]),
    },
    {
      name: "a title that never ends is none",
      input: { documents: [{ ...document, text: "\\section{open\n\n\n\n\n\nText." }] },
      output: ({ passages }) => expect(passages).toMatchObject([{ metadata: { headings: [] } }]),
    },
  ],
});

describe("indexer.latex", () => {
  it("row 10: hangs in the tree of a hierarchical index", async () => {
    const { passages } = await runOperator(latex, {}, { documents: [document] });
    const { nodes } = await runOperator(hierarchy, {}, { passages });
    expect((nodes as Passage[]).map(({ title }) => title)).toEqual([
      "birds.tex",
      "birds.tex > Owls & others",
      "birds.tex > Owls & others > Food of great owls",
      "birds.tex > Herons",
    ]);
  });
});
