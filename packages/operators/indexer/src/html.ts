// public: html
import { operator, type Passage, passages } from "@tessera/core";
import { missing } from "@tessera/core/internal";
import { z } from "zod";
import { htmlLines } from "./html-lines.js";
import { passagesOf } from "./pieces.js";
import { sectionsOf } from "./sections.js";

/**
 * Chunks HTML by its headings h1 to h6; title and `metadata.headings` hold the path of headings down to the section. The
 * text of a passage is what a reader sees, without markup, scripts, styles and navigation; its lines are those of the
 * source. A document without a title takes the page's own.
 */
export const html = operator({
  name: "indexer.html",
  version: 1,
  about: {
    module: "indexing",
    submodule: "structure organisation",
    paper: "Modular RAG, operator 4 (content-aware)",
    summary: "Chunks HTML by its headings and keeps the path of headings.",
  },
  config: z.strictObject({ maximum: z.int().min(16).default(400) }),
  ports: { input: { documents: passages }, output: { passages } },
  effects: "none",
  setup: async ({ maximum }) => {
    const { parse } = await import("parse5").catch(missing("parse5"));
    return ({ documents }) => ({
      passages: documents.flatMap((document: Passage) => {
        const { title, lines, headings, inside, sources } = htmlLines(document.text, parse);
        const titled = { ...document, ...(document.title === undefined && title !== undefined && { title }) };
        const pieces = sectionsOf(lines, { maximum, outline: () => ({ headings, inside }) });
        const first = (document.source?.lines?.[0] ?? 1) - 1;
        return passagesOf(titled, lines, pieces).map((passage, index): Passage => {
          const [from, to] = pieces[index]!.rows;
          return { ...passage, source: { ...passage.source!, lines: [sources[from]! + first, sources[to]! + first] } };
        });
      }),
    });
  },
});
