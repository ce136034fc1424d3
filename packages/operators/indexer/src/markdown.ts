// public: markdown
import { operator, type Passage } from "@tessera/core";
import { chunking } from "./chunking.js";
import { linesOf, passagesOf } from "./pieces.js";
import { documentSections } from "./sections.js";

/** Chunks Markdown by its headings; title and `metadata.headings` hold the path of headings down to the section. */
export const markdown = operator({
  name: "indexer.markdown",
  version: 1,
  about: {
    module: "indexing",
    submodule: "structure organisation",
    paper: "Modular RAG, operator 4 (structural-aware)",
    summary: "Chunks Markdown by its headings and keeps the path of headings.",
  },
  ...chunking,
  setup:
    ({ maximum }) =>
    ({ documents }) => ({
      passages: documents.flatMap((document: Passage) => {
        const lines = linesOf(document.text);
        return passagesOf(document, lines, documentSections(document, lines, maximum));
      }),
    }),
});
