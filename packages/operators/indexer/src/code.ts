// public: code
import { operator, type Passage } from "@tessera/core";
import { chunking } from "./chunking.js";
import { chunkCode } from "./outline.js";

/**
 * Chunks source code by its syntax tree: a function, method or class with its comments is one passage, with path,
 * lines and qualified symbol (`Class.method`). A class of more than `maximum` tokens becomes a header and its members,
 * whose parent the header is; a longer function is cut between statements. What stands between definitions is kept.
 */
export const code = operator({
  name: "indexer.code",
  version: 1,
  about: {
    module: "indexing",
    submodule: "chunk optimisation",
    summary: "Chunks source code by its syntax tree, Markdown by its headings, and other text by lines.",
  },
  ...chunking,
  setup:
    (settings) =>
    async ({ documents }, { signal }) => {
      const chunks: Passage[] = [];
      for (const document of documents) {
        signal.throwIfAborted();
        chunks.push(...(await chunkCode(document, settings, signal)));
      }
      return { passages: chunks };
    },
});
