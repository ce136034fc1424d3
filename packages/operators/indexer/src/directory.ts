// public: directory
import { type Folder, operator, type Passage, passages } from "@tessera/core";
import { unreadReasons } from "@tessera/core/internal";
import { z } from "zod";
import { documentOf, type Skipped } from "./file-text.js";
import { readerLimits } from "./readers/reader.js";
import { Reading } from "./readers/reading.js";

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

/** What a folder without readers of its own has as a text. */
const readText: NonNullable<Folder["document"]> = async function (this: Folder, path, { maximumBytes }, signal) {
  const bytes = await this.read(path, maximumBytes, signal);
  if (typeof bytes === "string") return { unread: [{ path, reason: bytes }] };
  return documentOf(path, await new Reading([], readerLimits).file({ path, bytes }));
};

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
      skipped: z.array(z.object({ path: z.string(), reason: z.enum(unreadReasons), detail: z.string().optional() })),
    },
  },
  async setup({ folder: name, maximumBytes, maximumDocumentBytes, exclude }, host) {
    const folder = await host.resource<Folder>("folder", name);
    const open = folder.document ?? readText;
    const most = Math.max(maximumBytes, maximumDocumentBytes);
    return async (_input, { signal }) => {
      const { files, skipped } = await folder.list({ maximumBytes: most, exclude }, signal);
      const documents: Passage[] = [];
      const unread: Skipped[] = [];
      for (const path of files) {
        signal.throwIfAborted();
        const read = await open.call(folder, path, { maximumBytes, maximumDocumentBytes }, signal);
        unread.push(...read.unread);
        if (read.document) documents.push(read.document);
      }
      const all = [...skipped, ...unread].sort((a, b) => (a.path < b.path ? -1 : 1));
      return { documents, skipped: all };
    };
  },
});
