// internal: FilePassages, passagesOfFile, isPathBelow, startOfFile
import type { Passage } from "@tessera/core";
import { codeChunker } from "./codebase.js";
import { directorySettings } from "./directory.js";
import { documentId, documentOf, type Skipped } from "./file-text.js";
import type { ReaderFile } from "./readers/reader.js";
import type { Readers } from "./readers/readers.js";

/** What a single file gives an index. */
export interface FilePassages {
  /** What the ids of all its passages begin with. */
  readonly start: string;
  /** Undefined where it could not be read; `skipped` says why, and also what of a file that was read is missing. */
  readonly passages: Passage[] | undefined;
  readonly skipped: readonly Skipped[];
}

const chunker = codeChunker();

/** Whether a path names what lies below a folder, by "/". */
export const isPathBelow = (path: string): boolean =>
  path.length <= 1000 && !/[\0\\]/.test(path) && !path.split("/").some((name) => ["", ".", ".."].includes(name));

/** What the ids of the passages of a file begin with. */
export const startOfFile = (path: string): string => `${documentId(path)}#`;

/**
 * A file as `updateCodebase` would index it in a folder: by the reader of its kind and within the same limits.
 * @param metadata goes on to each passage
 */
export async function passagesOfFile(
  file: ReaderFile,
  readers: Readers,
  { metadata = {}, signal }: { readonly metadata?: Passage["metadata"]; readonly signal?: AbortSignal } = {},
): Promise<FilePassages> {
  const { path, bytes } = file;
  const sizes = directorySettings.parse({});
  const most = readers.isDocument(path) ? sizes.maximumDocumentBytes : sizes.maximumBytes;
  const { document, unread } =
    bytes.length > most
      ? { document: undefined, unread: [{ path, reason: "too-large" as const }] }
      : documentOf(path, await readers.read(file, signal));
  const start = startOfFile(path);
  if (!document) return { start, passages: undefined, skipped: unread };
  const passages = await chunker.chunk({ ...document, metadata: { ...document.metadata, ...metadata } });
  return { start, passages, skipped: unread };
}
