import type { Folder, Passage } from "@tessera/core";
import { type DocumentSizes, unreadReasons } from "@tessera/core/internal";
import { z } from "zod";
import { documentOf, type Skipped } from "./file-text.js";
import { readerLimits } from "./readers/reader.js";
import { Reading } from "./readers/reading.js";

/** The files that gave no text, with the reason: an output of operators that read folders. */
export const unreadFiles = z.array(
  z.object({ path: z.string(), reason: z.enum(unreadReasons), detail: z.string().optional() }),
);

/** What a folder without readers of its own has as a text. */
const readText: NonNullable<Folder["document"]> = async function (this: Folder, path, { maximumBytes }, signal) {
  const bytes = await this.read(path, maximumBytes, signal);
  if (typeof bytes === "string") return { unread: [{ path, reason: bytes }] };
  return documentOf(path, await new Reading([], readerLimits).file({ path, bytes }));
};

/** Some files of a folder as documents, in their order. What cannot be read is in `unread`, and fails nothing. */
export async function readDocuments(
  folder: Folder,
  files: readonly string[],
  sizes: DocumentSizes,
  signal: AbortSignal,
): Promise<{ documents: Passage[]; unread: Skipped[] }> {
  const open = folder.document ?? readText;
  const documents: Passage[] = [];
  const unread: Skipped[] = [];
  for (const path of files) {
    signal.throwIfAborted();
    const read = await open.call(folder, path, sizes, signal);
    unread.push(...read.unread);
    if (read.document) documents.push(read.document);
  }
  return { documents, unread };
}
