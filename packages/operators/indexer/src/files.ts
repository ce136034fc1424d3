import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, open, readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { TesseraError } from "@tessera/core";
import { abortable, messageOf, type UnreadReason } from "@tessera/core/internal";
import ignore from "ignore";
import type { Skipped } from "./file-text.js";
import { gitIgnored, isBuilt } from "./git-ignored.js";

export interface FileEntry {
  /** Relative to the root, with "/" between the names. */
  readonly path: string;
  readonly absolute: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970, of the last change to content and to anything. */
  readonly modified: number;
  readonly changed: number;
}

export interface ListSettings {
  /** Bytes of a text; a larger one is skipped. */
  readonly maximumBytes: number;
  /** Bytes of a file of another kind, such as a PDF; a larger one is skipped. */
  readonly maximumDocumentBytes?: number;
  /** Patterns, as in a .gitignore, of what is left out besides what the .gitignore files name. */
  readonly exclude: readonly string[];
}

const largestRules = 1_048_576; // bytes of a .gitignore

// machinery, never sources; below the root only, so that a root inside node_modules can be listed
const never = new Set([".git", ".hg", ".svn", "node_modules"]);

/** What a folder below a root leaves out. */
interface LeftOut {
  /** Reads the rules that stand in a folder, before what is in it is asked about. */
  enter(folder: string): Promise<void>;
  leaveOut(absolute: string, isFolder: boolean): boolean;
}

/** What git ignores, as git says it, in a repository and those nested in it. */
class GitRules implements LeftOut {
  readonly #repositories: { readonly top: string; readonly ignored: ReadonlySet<string> }[] = [];

  private constructor(top: string, ignored: ReadonlySet<string>) {
    this.#repositories.push({ top, ignored });
  }

  /** `undefined` where git does not say. */
  static async open(top: string): Promise<GitRules | undefined> {
    const ignored = await gitIgnored(top);
    return ignored && new GitRules(top, ignored);
  }

  async enter(folder: string): Promise<void> {
    if (folder === this.#repositories[0]!.top || !(await stat(join(folder, ".git")).catch(() => undefined))) return;
    const ignored = await gitIgnored(folder);
    if (ignored) this.#repositories.push({ top: folder, ignored });
  }

  leaveOut(absolute: string, isFolder: boolean): boolean {
    return this.#repositories.some(({ top, ignored }) => {
      const path = relative(top, absolute).split(sep).join("/");
      return !path.startsWith("../") && ignored.has(isFolder ? `${path}/` : path);
    });
  }
}

/** The .gitignore files of a repository, or of a folder that is in none, as one list of patterns from its top. */
class Rules implements LeftOut {
  readonly #top: string;
  readonly #inGit: boolean;
  // as git does where it is told nothing else
  readonly #patterns = ignore({ ignorecase: false });
  readonly #neighbours = new Map<string, readonly string[]>();

  constructor(top: string, inGit: boolean) {
    this.#top = top;
    this.#inGit = inGit;
  }

  async enter(folder: string): Promise<void> {
    const names: string[] = await readdir(folder).catch(() => []);
    if (names.includes(".gitignore")) await this.add(folder);
    if (!this.#inGit) this.#neighbours.set(folder, names);
  }

  #from(folder: string): string {
    return relative(this.#top, folder).split(sep).join("/");
  }

  /** Adds the patterns that stand in a file for what is below a folder; they win over those of the folders above. */
  async add(folder: string, file = ".gitignore"): Promise<void> {
    const bytes = await bytesOf(join(folder, file), { maximumBytes: largestRules });
    if (bytes === "unreadable") throw new Error(`${file} cannot be read`);
    // git follows no link here either, and waits for no pipe
    const text = typeof bytes === "string" ? "" : new TextDecoder().decode(bytes);
    const prefix = this.#from(folder).replace(/[[\]*?!#\\ ]/g, "\\$&");
    for (const line of text.split(/\r?\n/)) {
      const [, not = "", pattern = ""] = /^(!?)(.*)$/.exec(line)!;
      if (prefix === "" || /^(?:#|\s*$)/.test(line)) this.#patterns.add(line);
      else this.#patterns.add(`${not}/${prefix}/${/\/./.test(pattern) ? pattern.replace(/^\//, "") : `**/${pattern}`}`);
    }
  }

  leaveOut(absolute: string, isFolder: boolean): boolean {
    if (this.#patterns.ignores(this.#from(absolute) + (isFolder ? "/" : ""))) return true;
    return isFolder && isBuilt(basename(absolute), this.#neighbours.get(dirname(absolute)) ?? []);
  }
}

/** The rules of the repository around the root; none of them where they would leave out the root, which was asked for. */
async function rulesAbove(root: string): Promise<LeftOut> {
  const folders = [root];
  while (!(await stat(join(folders[0]!, ".git")).catch(() => undefined))) {
    if (dirname(folders[0]!) === folders[0]) return new Rules(root, false);
    folders.unshift(dirname(folders[0]!));
  }
  const isInside = folders.slice(1).some((folder) => never.has(basename(folder)));
  const asked = isInside ? undefined : await GitRules.open(root);
  if (asked) return asked;
  const rules = new Rules(folders[0]!, true);
  await rules.add(folders[0]!, ".git/info/exclude");
  for (const folder of folders.slice(0, -1)) await rules.add(folder);
  const leftOut = isInside || folders.slice(1).some((folder) => rules.leaveOut(folder, true));
  return leftOut ? new Rules(root, true) : rules;
}

/**
 * The files under a root, in the order of their paths. Nested .gitignore files hold as in git. Links are not followed:
 * what they lead to is listed at its own place, or is outside. What cannot be listed is skipped, and said.
 * @throws TesseraError BAD_SOURCE where the root is no folder that can be read.
 */
export async function listFiles(
  root: string,
  { maximumBytes, maximumDocumentBytes = maximumBytes, exclude }: ListSettings,
  signal?: AbortSignal,
  isDocument: (path: string) => boolean = () => false,
): Promise<{ files: FileEntry[]; skipped: Skipped[] }> {
  const files: FileEntry[] = [];
  const skipped: Skipped[] = [];
  const excluded = ignore().add(exclude);

  async function visit(folder: string, prefix: string): Promise<void> {
    signal?.throwIfAborted();
    const entries = await readdir(folder, { withFileTypes: true });
    if ((await realpath(folder)) !== folder) throw new Error("a link took the folder's place");
    await rules.enter(folder);
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = prefix + entry.name;
      const absolute = join(folder, entry.name);
      const isFolder = entry.isDirectory();
      if (never.has(entry.name) || rules.leaveOut(absolute, isFolder)) continue;
      if (excluded.ignores(isFolder ? `${path}/` : path)) continue;
      if (isFolder) {
        await visit(absolute, `${path}/`).catch(() => {
          signal?.throwIfAborted();
          skipped.push({ path, reason: "unreadable" });
        });
        continue;
      }
      const found: Stats | undefined = await lstat(absolute).catch(() => undefined);
      if (!found) skipped.push({ path, reason: "unreadable" });
      else if (found.isSymbolicLink()) skipped.push({ path, reason: "link" });
      else if (!found.isFile()) skipped.push({ path, reason: "special" });
      else if (found.size > (isDocument(path) ? maximumDocumentBytes : maximumBytes))
        skipped.push({ path, reason: "too-large" });
      else files.push({ path, absolute, size: found.size, modified: found.mtimeMs, changed: found.ctimeMs });
    }
  }

  const fail = (cause: unknown) => {
    signal?.throwIfAborted();
    throw new TesseraError("BAD_SOURCE", `the folder cannot be read: ${messageOf(cause)}`, {
      path: root,
      hint: "name a folder that exists and that you may read",
      cause,
    });
  };
  const real = await realpath(root).catch(fail);
  const rules = await rulesAbove(real);
  await visit(real, "").catch(fail);
  return { files, skipped };
}

const gone = new Set(["EACCES", "ELOOP", "ENOENT", "ENOTDIR", "EPERM"]);

/** Why a file gives no bytes: "gone" where it is no more or may not be read. */
type Unread = "gone" | Extract<UnreadReason, "link" | "special" | "too-large" | "unreadable">;
const chunkBytes = 65_536;
// links are not followed, and opening a pipe waits for nobody; Windows knows neither flag
const opening = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/**
 * The bytes of a file at its real path. Bytes are counted as they come, since some files say that they are smaller than
 * they are. Whether it is a file that lies where its path says is asked of what was opened, so that a link which takes the
 * place of the file or of a folder above it leads nowhere.
 * @throws what the signal says
 */
export async function bytesOf(
  absolute: string,
  { maximumBytes, signal }: { readonly maximumBytes: number; readonly signal?: AbortSignal | undefined },
): Promise<Uint8Array | Unread> {
  signal?.throwIfAborted();
  let file: FileHandle | undefined;
  const late = <T>(work: Promise<T>): Promise<T> =>
    signal ? abortable(work, { signal, aborted: (reason) => reason }) : work;
  try {
    const opened = open(absolute, opening);
    const closeLate = (one: FileHandle) => {
      if (signal?.aborted) void one.close().catch(() => {});
    };
    opened.then(closeLate, () => {});
    file = await late(opened);
    const found = await late(file.stat());
    if (!found.isFile()) return "special";
    if ((await late(realpath(absolute))) !== absolute) return "link";
    const there = await late(stat(absolute));
    if (there.ino !== found.ino || there.dev !== found.dev) return "gone";
    return await readAll(file, maximumBytes, late);
  } catch (error) {
    signal?.throwIfAborted();
    const { code = "" } = error as NodeJS.ErrnoException;
    if (code === "ELOOP") return "link";
    if (code === "ENXIO") return "special"; // a socket, or a pipe that nobody writes
    return gone.has(code) ? "gone" : "unreadable";
  } finally {
    void file?.close().catch(() => {});
  }
}

async function readAll(
  file: FileHandle,
  maximumBytes: number,
  late: <T>(work: Promise<T>) => Promise<T>,
): Promise<Uint8Array | "too-large"> {
  const chunks: Buffer[] = [];
  for (let total = 0; ; ) {
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, maximumBytes - total + 1));
    const { bytesRead } = await late(file.read(chunk, 0, chunk.length, null));
    if (bytesRead === 0) return Buffer.concat(chunks);
    total += bytesRead;
    if (total > maximumBytes) return "too-large";
    chunks.push(chunk.subarray(0, bytesRead));
  }
}
