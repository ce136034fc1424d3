import { createHash } from "node:crypto";
import type { Passage } from "@tessera/core";
import { Changes } from "./changes.js";
import type { Chunker, Progress } from "./codebase.js";
import { documentOf, type Skipped, textOf } from "./file-text.js";
import { bytesOf, type FileEntry, type ListSettings, listFiles } from "./files.js";
import type { IndexedFile } from "./manifest.js";

/** A file of an index, with its passages as JSON where it has any. */
export interface Known {
  readonly file: IndexedFile;
  readonly line?: Buffer | undefined;
}

export interface Scan {
  readonly files: Known[];
  readonly changes: Changes;
  readonly skipped: Skipped[];
  /** Counts of files. */
  readonly seen: number;
  readonly read: number;
  readonly changed: number;
  readonly removed: number;
}

const readers = 8;

/** A file changed so shortly before it was listed that a later change could leave the same times. */
const isRacy = ({ modified, changed }: FileEntry, listed: number): boolean => {
  const latest = Math.max(modified, changed);
  return latest > listed - (latest % 1000 === 0 ? 2000 : 100); // some file systems count in whole seconds
};

const passagesIn = (line: Buffer | undefined): Passage[] => (line ? (JSON.parse(line.toString()) as Passage[]) : []);

/** Compares a folder with what an index knows of it, and cuts the files that have changed. */
export async function scan(
  root: string,
  known: ReadonlyMap<string, Known>,
  how: {
    readonly list: ListSettings;
    readonly chunker: Chunker;
    /** Whether equal size and times mean an equal file. */
    readonly trustTimes: boolean;
    /** Whether equal content means equal passages. */
    readonly trustContent: boolean;
    readonly signal?: AbortSignal | undefined;
    readonly progress: (progress: Progress) => void;
  },
): Promise<Scan> {
  const { signal, progress, chunker } = how;
  const listed = Date.now();
  const { files, skipped } = await listFiles(root, how.list, signal);
  const total = files.length;
  progress({ stage: "list", done: total, total });
  const results: (Known | undefined)[] = new Array(total);
  const counts = { read: 0, changed: 0, chunked: 0 };
  const cut: { before: Passage[]; after: Passage[] }[] = new Array(total);

  async function visit(entry: FileEntry, index: number): Promise<void> {
    const before = known.get(entry.path);
    const { path, size, modified, changed } = entry;
    const unchanged =
      before?.file.size === size && before.file.modified === modified && before.file.changed === changed;
    if (unchanged && how.trustTimes && how.trustContent) {
      results[index] = before;
      return;
    }
    const bytes = await bytesOf(entry.absolute, { maximumBytes: how.list.maximumBytes, signal });
    if (typeof bytes === "string") {
      skipped.push({ path, reason: bytes === "gone" ? "unreadable" : bytes });
      if (bytes === "unreadable") results[index] = before; // it may well be read next time
      return;
    }
    counts.read++;
    const hash = createHash("sha256").update(bytes).digest("hex");
    const times = isRacy(entry, listed) ? { modified: -1, changed: -1 } : { modified, changed };
    const file: IndexedFile = { path, size, ...times, hash };
    if (before?.file.hash === hash && how.trustContent) {
      results[index] = { file: { ...before.file, size, ...times }, line: before.line };
      return;
    }
    const read = textOf(path, bytes);
    if ("reason" in read) {
      results[index] = { file: { ...file, skipped: read.reason } };
      return;
    }
    const after = await chunker.chunk(documentOf(path, read.text));
    counts.chunked++;
    const line = after.length > 0 ? Buffer.from(JSON.stringify(after)) : undefined;
    if (String(before?.line) !== String(line)) counts.changed++;
    cut[index] = { before: passagesIn(before?.line), after };
    results[index] = { file: { ...file, row: before?.file.row }, line };
  }

  let next = 0;
  let done = 0;
  const reader = async () => {
    for (let index = next++; index < total; index = next++) {
      signal?.throwIfAborted();
      await visit(files[index]!, index);
      done++;
      progress({ stage: "read", done, total });
    }
  };
  await Promise.all(Array.from({ length: readers }, reader));
  progress({ stage: "chunk", done: counts.chunked, total: counts.chunked });

  const found = results.filter((result) => result !== undefined);
  const changes = new Changes();
  for (const { before, after } of cut.filter(Boolean)) changes.add(before, after);
  const kept = new Set(found.filter(({ file }) => !file.skipped).map(({ file }) => file.path));
  let removed = 0;
  for (const [path, { line }] of known)
    if (line && !kept.has(path)) {
      removed++;
      changes.add(passagesIn(line), []);
    }
  for (const { file } of found) if (file.skipped) skipped.push({ path: file.path, reason: file.skipped });
  skipped.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { files: found, changes, skipped, seen: total, read: counts.read, changed: counts.changed, removed };
}
