import { operator, type Passage, passages } from "@tessera/core";
import { z } from "zod";
import { bytesOf, documentOf, listFiles, reasons, type Skipped, textOf } from "./files.js";

/** What is read of a folder. */
export const directorySettings = z.strictObject({
  /** Bytes; a larger file is skipped. */
  maximumBytes: z.int().positive().default(1_048_576),
  /** Patterns as in a .gitignore: by default what is generated, and what holds secrets. */
  exclude: z
    .array(z.string())
    .default([
      "*.min.js",
      "*.min.css",
      "*.map",
      "*.lock",
      "*-lock.json",
      "*-lock.yaml",
      "*.snap",
      ".env",
      ".env.*",
      "*.pem",
      "*.key",
    ]),
});

/**
 * Reads the files of a folder as whole documents, in the order of their paths. .gitignore files hold; `.git` and
 * `node_modules` below the root are left out. What cannot be read is in `skipped` with its reason, and fails nothing.
 */
export const directory = operator({
  name: "indexer.directory",
  version: 1,
  about: {
    module: "indexing",
    submodule: "chunk optimisation",
    summary: "Reads the text files of a folder as documents.",
  },
  config: directorySettings.extend({ root: z.string().min(1) }),
  ports: {
    input: {},
    output: { documents: passages, skipped: z.array(z.object({ path: z.string(), reason: z.enum(reasons) })) },
  },
  setup:
    ({ root, ...settings }) =>
    async (_input, { signal }) => {
      const { files, skipped } = await listFiles(root, settings, signal);
      const documents: Passage[] = [];
      const unread: Skipped[] = [];
      for (const file of files) {
        signal.throwIfAborted();
        const bytes = await bytesOf(file);
        const read = typeof bytes === "string" ? ({ reason: "unreadable" } as const) : textOf(file.path, bytes);
        if ("reason" in read) unread.push({ path: file.path, reason: read.reason });
        else documents.push(documentOf(file.path, read.text));
      }
      const all = [...skipped, ...unread].sort((a, b) => (a.path < b.path ? -1 : 1));
      return { documents, skipped: all };
    },
});
