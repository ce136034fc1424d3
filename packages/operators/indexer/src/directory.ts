// public: directory
// internal: directorySettings
import { type Folder, operator, passages } from "@tessera/core";
import { z } from "zod";
import { readDocuments, unreadFiles } from "./folder-documents.js";

/** What is read of a folder. */
export const directorySettings = z.strictObject({
  /** Bytes of a text; a larger one is skipped. */
  maximumBytes: z.int().positive().default(1_048_576),
  /** Bytes of a file of another kind, such as a PDF; a larger one is skipped. */
  maximumDocumentBytes: z.int().positive().default(67_108_864),
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

/** Up to cf1deb2 a document said where a folder lies. */
const moved = ({ code, keys = [] }: { code?: string; keys?: string[] }): string | undefined =>
  code === "unrecognized_keys" && keys.includes("root")
    ? 'a flow names no path: in place of `root`, write `folder: "<name>"` and hand that folder over as a resource ' +
      "(`{ folder: { <name>: () => LocalFolder.open(path) } }`, or `--folder <name>=<path>` of the command line)"
    : undefined;

/**
 * Reads the files of a resource `folder` as whole documents, in the order of their paths. .gitignore files hold; `.git`
 * and `node_modules` below the folder are left out. What cannot be read is in `skipped` with its reason, and fails nothing.
 */
export const directory = operator({
  name: "indexer.directory",
  version: 3,
  about: {
    module: "indexing",
    submodule: "chunk optimisation",
    summary: "Reads the files of a folder as documents, each kind by its reader.",
  },
  config: z.strictObject({ ...directorySettings.shape, folder: z.string().min(1) }, { error: moved }),
  ports: {
    input: {},
    output: {
      documents: passages,
      skipped: unreadFiles,
    },
  },
  async setup({ folder: name, maximumBytes, maximumDocumentBytes, exclude }, host) {
    const folder = await host.resource<Folder>("folder", name);
    const most = Math.max(maximumBytes, maximumDocumentBytes);
    return async (_input, { signal }) => {
      const { files, skipped } = await folder.list({ maximumBytes: most, exclude }, signal);
      const { documents, unread } = await readDocuments(folder, files, { maximumBytes, maximumDocumentBytes }, signal);
      const all = [...skipped, ...unread].sort((a, b) => (a.path < b.path ? -1 : 1));
      return { documents, skipped: all };
    };
  },
});
