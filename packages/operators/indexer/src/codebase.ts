// public: Chunker, Change, Participant, Progress, UpdateSettings, Report, codeChunker, Codebase, Skipped
import { randomUUID } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import { promisify } from "node:util";
import { deflateRaw, inflateRaw } from "node:zlib";
import { type MaybePromise, type Passage, TesseraError } from "@tessera/core";
import { canonicalJson, messageOf, WriterLock } from "@tessera/core/internal";
import type { z } from "zod";
import { directorySettings } from "./directory.js";
import type { Skipped } from "./file-text.js";
import { type Manifest, manifestFile, readChecked, readManifest, seal, sweep, writeManifest } from "./manifest.js";
import { chunkCode } from "./outline.js";
import { type Readers, sharedReaders } from "./readers/readers.js";
import { type Known, type Scan, scan } from "./scan.js";

export type { Skipped };

/** Cuts a document into passages. */
export interface Chunker {
  /** Changes when it may cut the same document otherwise; then every file is cut again. */
  readonly revision: string;
  chunk(document: Passage): MaybePromise<Passage[]>;
}

/**
 * How the passages of an index differ from those it had. A passage is known by its id: the path of its file with its
 * symbol, its headings, or a hash of its text, never with its line numbers. So what stands further down after an edit
 * above it is `moved`: its words are the same, and what was computed from them still holds.
 */
export interface Change {
  /** Of an id that was not there. */
  readonly added: readonly Passage[];
  /** Of a known id, with another text, title or symbol. */
  readonly changed: readonly Passage[];
  /** With the same words, but other lines, parent or metadata. */
  readonly moved: readonly Passage[];
  /** Ids that are no more. */
  readonly removed: readonly string[];
}

/** What a new generation is made of, as a participant sees it. */
export interface Generation extends Change {
  /** The participant's own folder, empty; what it writes there is seen by nobody before all is done. */
  readonly folder: string;
  /** What it wrote last, to be read only; `undefined` where everything is in `added`. */
  readonly previous: string | undefined;
  /** Every passage of the new generation, for what depends on all of them. */
  passages(): Passage[];
  /** Every passage as it was when `previous` was written. */
  before(): Passage[];
  readonly signal: AbortSignal | undefined;
  progress(done: number, total: number): void;
}

/** Something that is kept beside the passages and must always fit them: a store, a graph. */
export interface Participant {
  /** The name of its folder. */
  readonly name: string;
  /** Changes when what it wrote before is of no more use, as when an encoder changed; then it begins anew. */
  readonly revision: string;
  write(generation: Generation): Promise<void>;
}

/** How far an update of an index is. */
export interface Progress {
  /** "list": files seen; "read" and "chunk": files; then the name of each participant, in its own units. */
  readonly stage: string;
  readonly done: number;
  readonly total?: number | undefined;
}

/** What an update of an index reads, and what cuts it into passages. */
export interface UpdateSettings extends z.input<typeof directorySettings> {
  /** The folder to index. */
  readonly root: string;
  /** By default `codeChunker()`. */
  readonly chunker?: Chunker | undefined;
  /** What reads the files; by default the built-in readers. They stay the caller's. */
  readonly readers?: Readers | undefined;
  readonly participants?: readonly Participant[] | undefined;
  /** Reads and writes everything anew, whatever is there, also where that is damaged. */
  readonly rebuild?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ((progress: Progress) => void) | undefined;
}

/** What an update did. The first four count files, `passages` counts passages. */
export interface Report {
  readonly seen: number;
  readonly read: number;
  /** Files whose passages are new, and files that went away. */
  readonly changed: number;
  readonly removed: number;
  readonly passages: {
    readonly added: number;
    readonly changed: number;
    readonly moved: number;
    readonly removed: number;
  };
  readonly skipped: readonly Skipped[];
  /** Why an index that was there was made anew, wholly or in part, in one line; `undefined` where it was not. */
  readonly rebuilt?: string | undefined;
}

/** Cuts by syntax tree, headings or lines, as `indexer.code` does. */
export const codeChunker = (settings: { maximum: number } = { maximum: 400 }): Chunker => ({
  revision: `code:2:${settings.maximum}`,
  chunk: (document) => chunkCode(document, settings),
});

/**
 * The index of a folder, on disk. `index.json` names a generation folder, which holds the passages and a folder for each
 * participant. An update writes a new generation beside the old one and then replaces `index.json`, in one step: whatever
 * ends the process, the index is the old one or the new one. Every file is checked against its checksum when it is opened.
 *
 * Passages are the same passage as long as they have the same id; see `Change` for what that saves.
 */
export class Codebase {
  readonly folder: string;
  readonly #manifest: Manifest;

  private constructor(folder: string, manifest: Manifest) {
    this.folder = folder;
    this.#manifest = manifest;
  }

  /** @throws TesseraError INDEX_MISSING, INDEX_CORRUPT, STORE_FAILED */
  static async open(folder: string): Promise<Codebase> {
    return new Codebase(folder, await readChecked(folder));
  }

  /** What the stores of an index were made by; of a folder without a whole index, nothing. */
  static async participants(folder: string): Promise<readonly { readonly name: string; readonly revision: string }[]> {
    return (await readManifest(folder).catch(() => undefined))?.participants ?? [];
  }

  /** The file of an index that is replaced, last and in one step, when the index changes. */
  static file(folder: string): string {
    return join(folder, manifestFile);
  }

  /** The folder that was indexed, as an absolute path. */
  get root(): string {
    return this.#manifest.root;
  }

  /** Changes with the passages. */
  get revision(): string {
    return this.#manifest.generation;
  }

  /** The paths of the files that have passages. */
  get files(): string[] {
    return this.#manifest.files.filter(({ row }) => row !== undefined).map(({ path }) => path);
  }

  async passages(): Promise<Passage[]> {
    return allOf([...(await knownOf(this.folder, this.#manifest)).values()]);
  }

  /**
   * The folder that a participant wrote.
   * @throws TesseraError INDEX_MISSING where it never did.
   */
  folderOf(participant: string): string {
    if (!this.#manifest.participants.some(({ name }) => name === participant))
      throw new TesseraError("INDEX_MISSING", `the index holds no "${participant}"`, {
        path: this.folder,
        hint: `it holds ${this.#manifest.participants.map(({ name }) => name).join(", ") || "passages alone"}`,
      });
    return join(this.folder, this.#manifest.generation, participant);
  }

  /**
   * Brings the index of a folder up to date, or makes it. Only files whose size or times differ are read, and only those
   * with other content are cut again. On an error or an abort the index stays what it was.
   * @throws TesseraError INDEX_LOCKED, INDEX_CORRUPT, BAD_SOURCE, STORE_FAILED, and what chunker and participants throw.
   */
  static async update(folder: string, settings: UpdateSettings): Promise<{ codebase: Codebase; report: Report }> {
    const { signal } = settings;
    const failed = (cause: unknown): never => {
      signal?.throwIfAborted();
      if (TesseraError.is(cause)) throw cause;
      throw new TesseraError("STORE_FAILED", `the index could not be written: ${messageOf(cause)}`, {
        path: folder,
        hint: "the index is what it was before; see the cause",
        cause,
      });
    };
    signal?.throwIfAborted();
    await mkdir(folder, { recursive: true }).catch(failed);
    const lock = await WriterLock.acquire(folder).catch(failed);
    try {
      const { manifest, report } = await bringUpToDate(folder, settings, lock);
      return { codebase: new Codebase(folder, manifest), report };
    } catch (error) {
      return failed(error);
    } finally {
      await lock.release().catch(() => {});
    }
  }
}

async function bringUpToDate(
  folder: string,
  { root: asked, participants = [], rebuild = false, signal, progress = () => {}, ...settings }: UpdateSettings,
  lock: WriterLock,
): Promise<{ manifest: Manifest; report: Report }> {
  assertNames(participants);
  const { chunker = codeChunker(), readers = await sharedReaders(), ...rest } = settings;
  const list = directorySettings.parse(rest);
  const root = resolve(asked);
  const old = rebuild ? undefined : await readIfThere(folder);
  if (old) await sweep(folder, [old.generation]);
  const wanted = canonicalJson({ list, chunker: chunker.revision, readers: readers.revision });
  const oldFiles = old ? await knownOf(folder, old) : new Map<string, Known>();
  const scanned = await scan(root, oldFiles, {
    list: { ...list, exclude: [...list.exclude, ...within(root, folder)] },
    chunker,
    readers,
    trustTimes: old?.root === root,
    trustContent: old?.settings === wanted,
    signal,
    progress,
  });
  const { files: known, changes, skipped, seen, read, changed, removed } = scanned;
  const report: Report = {
    seen,
    read,
    changed,
    removed,
    passages: {
      added: changes.added.length,
      changed: changes.changed.length,
      moved: changes.moved.length,
      removed: changes.removed.length,
    },
    skipped,
    rebuilt: old && whyAnew(old, wanted, participants),
  };
  const parts = participants.map(({ name, revision }) => ({ name, revision }));
  const kept = old && changes.isEmpty && canonicalJson(old.participants) === canonicalJson(parts);
  const head = { root, settings: wanted, participants: parts };
  if (kept) {
    const manifest = { ...old, ...head, files: known.map(({ file }) => file) };
    if (JSON.stringify(manifest) !== JSON.stringify(old))
      await writeManifest(folder, manifest, async () => lock.assertHeld());
    return { manifest, report };
  }

  const generation = `generation-${randomUUID()}`;
  const target = join(folder, generation);
  try {
    await writeGeneration(target, scanned, participants, { old, oldFiles, folder, signal, progress });
    let rows = 0;
    const files = known.map(({ file, line }) => ({ ...file, row: line && rows++ }));
    const manifest = { ...head, generation, files, sums: await seal(target) };
    signal?.throwIfAborted();
    await writeManifest(folder, manifest, async () => lock.assertHeld());
    // whoever opened the old index a moment ago may still be reading it
    await sweep(folder, [generation, old?.generation]);
    return { manifest, report };
  } catch (error) {
    await rm(target, { recursive: true, force: true }).catch(() => {});
    throw error;
  }
}

/** Why an index is of no more use as it is: files are cut otherwise now, or a store holds other words or vectors. */
function whyAnew(old: Manifest, settings: string, participants: readonly Participant[]): string | undefined {
  const stores = participants
    .filter(({ name, revision }) => old.participants.some((one) => one.name === name && one.revision !== revision))
    .map(({ name }) => name);
  const reasons = [
    ...(old.settings === settings ? [] : ["files are chosen or cut in another way"]),
    ...(stores.length === 0 ? [] : [`${stores.join(" and ")} hold other words or vectors`]),
  ];
  return reasons.length === 0
    ? undefined
    : `the index was made by another version or with other settings: ${reasons.join(", and ")}`;
}

async function writeGeneration(
  target: string,
  { files, changes }: Scan,
  participants: readonly Participant[],
  {
    old,
    oldFiles,
    folder,
    signal,
    progress,
  }: Pick<UpdateSettings, "signal"> & {
    old: Manifest | undefined;
    oldFiles: ReadonlyMap<string, Known>;
    folder: string;
    progress: (progress: Progress) => void;
  },
): Promise<void> {
  await mkdir(target);
  const lines = files.flatMap(({ line }) => (line ? [line, Buffer.from("\n")] : []));
  await writeFile(join(target, compressed), await deflate(Buffer.concat(lines), { level: 6 }), { flag: "wx" });
  for (const participant of participants) {
    const { name, revision } = participant;
    signal?.throwIfAborted();
    const continues = old?.participants.some((before) => before.name === name && before.revision === revision);
    await mkdir(join(target, name));
    await participant.write({
      ...(continues ? changes : { added: allOf(files), changed: [], moved: [], removed: [] }),
      folder: join(target, name),
      passages: () => allOf(files),
      before: () => allOf([...oldFiles.values()]),
      previous: continues ? join(folder, old!.generation, name) : undefined,
      signal,
      progress: (done, total) => progress({ stage: name, done, total }),
    });
  }
}

const allOf = (files: readonly Known[]): Passage[] =>
  files.flatMap(({ line }) => (line ? (JSON.parse(line.toString()) as Passage[]) : []));

/** The passages, a line of JSON for each file that has any, compressed; plain in an index of an older version. */
const compressed = "passages.jsonl.z";
const deflate = promisify(deflateRaw);
const inflate = promisify(inflateRaw);

async function linesIn(folder: string, { generation, sums }: Manifest): Promise<Buffer> {
  const plain = sums.some(({ path }) => path === "passages.jsonl");
  if (plain) return readFile(join(folder, generation, "passages.jsonl"));
  return inflate(await readFile(join(folder, generation, compressed)));
}

/** The files of an index by path, with the passages of those that have any. */
async function knownOf(folder: string, manifest: Manifest): Promise<Map<string, Known>> {
  const { files } = manifest;
  const bytes = await linesIn(folder, manifest);
  const lines: Buffer[] = [];
  for (let from = 0, end = bytes.indexOf(10); end >= 0; from = end + 1, end = bytes.indexOf(10, from))
    lines.push(bytes.subarray(from, end));
  return new Map(
    files.map((file) => [file.path, { file, line: file.row === undefined ? undefined : lines[file.row] }]),
  );
}

const readIfThere = (folder: string): Promise<Manifest | undefined> =>
  readChecked(folder).catch((error: unknown) => {
    if (TesseraError.is(error) && error.code === "INDEX_MISSING") return undefined;
    throw error;
  });

/** The pattern of an index that is kept inside the folder it is of. */
function within(root: string, folder: string): string[] {
  const path = relative(root, resolve(folder)).split(sep).join("/");
  return path === "" || path.startsWith("../") || isAbsolute(path)
    ? []
    : [`/${path.replace(/[[\]*?!#\\ ]/g, "\\$&")}/`];
}

function assertNames(participants: readonly Participant[]): void {
  for (const [index, { name }] of participants.entries())
    if (!/^[a-z][a-z0-9-]*$/.test(name) || participants.findIndex((other) => other.name === name) !== index)
      throw new TesseraError("BAD_ARGUMENT", `"${name}" cannot be the name of a participant`, {
        hint: "a name is in lower case, and no two are the same",
      });
}
