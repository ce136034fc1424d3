import { createHash } from "node:crypto";
import type { Passage } from "@tessera/core";
import { Changes } from "./changes.js";
import type { Chunker, Progress } from "./codebase.js";
import { documentOf, type Skipped } from "./file-text.js";
import { bytesOf, type FileEntry, type ListSettings, listFiles } from "./files.js";
import type { IndexedFile } from "./manifest.js";
import type { Readers } from "./readers/readers.js";

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

const atOnce = 8; // files

/** A file changed so shortly before it was listed that a later change could leave the same times. */
const isRacy = ({ modified, changed }: FileEntry, listed: number): boolean => {
  const latest = Math.max(modified, changed);
  return latest > listed - (latest % 1000 === 0 ? 2000 : 100); // some file systems count in whole seconds
};

const largest = (path: string, { list, readers }: ScanSettings): number =>
  readers.isDocument(path) ? (list.maximumDocumentBytes ?? list.maximumBytes) : list.maximumBytes;

const isSameFile = (file: IndexedFile, { size, modified, changed }: FileEntry): boolean =>
  file.size === size && file.modified === modified && file.changed === changed;

/** Works on the numbers below `total`, `atOnce` of them at a time. */
async function someAtOnce(total: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < total; index = next++) await work(index);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

const passagesIn = (line: Buffer | undefined): Passage[] => (line ? (JSON.parse(line.toString()) as Passage[]) : []);

/** The passages of a file before and after a change. */
interface Cut {
  readonly before: Passage[];
  readonly after: Passage[];
}

interface ScanSettings {
  readonly list: ListSettings;
  readonly chunker: Chunker;
  readonly readers: Readers;
  /** Whether equal size and times mean an equal file. */
  readonly trustTimes: boolean;
  /** Whether equal content means equal passages. */
  readonly trustContent: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly progress: (progress: Progress) => void;
}

/** What to write into an index: the passages that came and went, and how many files went. */
function changesOf(cut: readonly Cut[], known: ReadonlyMap<string, Known>, kept: ReadonlySet<string>) {
  const changes = new Changes();
  for (const { before, after } of cut) changes.add(before, after);
  let removed = 0;
  for (const [path, { line }] of known)
    if (line && !kept.has(path)) {
      removed++;
      changes.add(passagesIn(line), []);
    }
  return { changes, removed };
}

/** Compares a folder with what an index knows of it, and cuts the files that have changed. */
export async function scan(root: string, known: ReadonlyMap<string, Known>, how: ScanSettings): Promise<Scan> {
  const { signal, progress, chunker, readers } = how;
  const listed = Date.now();
  const { files, skipped } = await listFiles(root, how.list, signal, (path) => readers.isDocument(path));
  const total = files.length;
  progress({ stage: "list", done: total, total });
  const results: (Known | undefined)[] = new Array(total);
  const counts = { read: 0, changed: 0, chunked: 0 };
  const silent = new Set<string>(); // read now, and without a text
  const cut: Cut[] = new Array(total);

  async function visit(entry: FileEntry, index: number): Promise<void> {
    const before = known.get(entry.path);
    const { path, size, modified, changed } = entry;
    // what could not be read for want of a library may be read now
    const wanting = before?.file.unread?.some(({ reason }) => reason === "missing") ?? false;
    const trustContent = how.trustContent && !wanting;
    if (before && isSameFile(before.file, entry) && how.trustTimes && trustContent) {
      results[index] = before;
      return;
    }
    const bytes = await bytesOf(entry.absolute, { maximumBytes: largest(path, how), signal });
    if (typeof bytes === "string") {
      skipped.push({ path, reason: bytes === "gone" ? "unreadable" : bytes });
      if (bytes === "unreadable") results[index] = before; // it may well be read next time
      return;
    }
    counts.read++;
    const hash = createHash("sha256").update(bytes).digest("hex");
    const times = isRacy(entry, listed) ? { modified: -1, changed: -1 } : { modified, changed };
    const file: IndexedFile = { path, size, ...times, hash };
    if (before?.file.hash === hash && trustContent) {
      results[index] = { file: { ...before.file, size, ...times }, line: before.line };
      return;
    }
    const { document, unread: parts } = documentOf(path, await readers.read({ path, bytes }, signal));
    const unread = parts.length > 0 ? parts.map(({ reason, detail }) => ({ reason, detail })) : undefined;
    if (document === undefined) {
      silent.add(path);
      results[index] = { file: { ...file, unread } };
      return;
    }
    const after = await chunker.chunk(document);
    counts.chunked++;
    const line = after.length > 0 ? Buffer.from(JSON.stringify(after)) : undefined;
    if (String(before?.line) !== String(line)) counts.changed++;
    cut[index] = { before: passagesIn(before?.line), after };
    results[index] = { file: { ...file, unread, row: before?.file.row }, line };
  }

  let done = 0;
  await someAtOnce(total, async (index) => {
    signal?.throwIfAborted();
    await visit(files[index]!, index);
    done++;
    progress({ stage: "read", done, total });
  });
  progress({ stage: "chunk", done: counts.chunked, total: counts.chunked });

  const found = results.filter((result) => result !== undefined);
  const kept = new Set(found.map(({ file }) => file.path).filter((path) => !silent.has(path)));
  const { changes, removed } = changesOf(cut.filter(Boolean), known, kept);
  for (const { file } of found) skipped.push(...(file.unread ?? []).map((part) => ({ path: file.path, ...part })));
  skipped.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { files: found, changes, skipped, seen: total, read: counts.read, changed: counts.changed, removed };
}
