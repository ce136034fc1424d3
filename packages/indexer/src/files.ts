// internal
import type { Stats } from "node:fs";
import { lstat, readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { messageOf, type Passage, TesseraError } from "@tessera/core";
import ignore from "ignore";
import { languageOf } from "./languages.js";

export const reasons = ["binary", "link", "minified", "special", "too-large", "unreadable"] as const;
/** A file or folder that is left out although nothing asked for that. */
export interface Skipped {
  readonly path: string;
  readonly reason: (typeof reasons)[number];
}

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
  /** Bytes; a larger file is skipped. */
  readonly maximumBytes: number;
  /** Patterns, as in a .gitignore, of what is left out besides what the .gitignore files name. */
  readonly exclude: readonly string[];
}

// machinery, never sources; below the root only, so that a root inside node_modules can be listed
const never = new Set([".git", ".hg", ".svn", "node_modules"]);

/** The .gitignore files of a repository, or of a folder that is in none, as one list of patterns from its top. */
class Rules {
  readonly #top: string;
  readonly #patterns = ignore();

  constructor(top: string) {
    this.#top = top;
  }

  #from(folder: string): string {
    return relative(this.#top, folder).split(sep).join("/");
  }

  /** Adds the patterns that stand in a file for what is below a folder; they win over those of the folders above. */
  async add(folder: string, file = ".gitignore"): Promise<void> {
    const text = await readFile(join(folder, file), "utf8").catch((error: NodeJS.ErrnoException) => {
      if (gone.has(error.code ?? "")) return "";
      throw error;
    });
    const prefix = this.#from(folder).replace(/[[\]*?!#\\ ]/g, "\\$&");
    for (const line of text.split(/\r?\n/)) {
      const [, not = "", pattern = ""] = /^(!?)(.*)$/.exec(line)!;
      if (prefix === "" || /^(?:#|\s*$)/.test(line)) this.#patterns.add(line);
      else this.#patterns.add(`${not}/${prefix}/${/\/./.test(pattern) ? pattern.replace(/^\//, "") : `**/${pattern}`}`);
    }
  }

  leaveOut(absolute: string, isFolder: boolean): boolean {
    return this.#patterns.ignores(this.#from(absolute) + (isFolder ? "/" : ""));
  }
}

/** The rules of the repository around the root; none of them where they would leave out the root, which was asked for. */
async function rulesAbove(root: string): Promise<Rules> {
  const folders = [root];
  while (!(await stat(join(folders[0]!, ".git")).catch(() => undefined))) {
    if (dirname(folders[0]!) === folders[0]) return new Rules(root);
    folders.unshift(dirname(folders[0]!));
  }
  const rules = new Rules(folders[0]!);
  await rules.add(folders[0]!, ".git/info/exclude");
  for (const folder of folders.slice(0, -1)) await rules.add(folder);
  const leftOut = folders.slice(1).some((folder) => never.has(basename(folder)) || rules.leaveOut(folder, true));
  return leftOut ? new Rules(root) : rules;
}

/**
 * The files under a root, in the order of their paths. Nested .gitignore files hold as in git. Links are not followed:
 * what they lead to is listed at its own place, or is outside. What cannot be listed is skipped, and said.
 * @throws TesseraError BAD_SOURCE where the root is no folder that can be read.
 */
export async function listFiles(
  root: string,
  { maximumBytes, exclude }: ListSettings,
  signal?: AbortSignal,
): Promise<{ files: FileEntry[]; skipped: Skipped[] }> {
  const files: FileEntry[] = [];
  const skipped: Skipped[] = [];
  const excluded = ignore().add(exclude);

  async function visit(folder: string, prefix: string): Promise<void> {
    signal?.throwIfAborted();
    const entries = await readdir(folder, { withFileTypes: true });
    if (entries.some(({ name }) => name === ".gitignore")) await rules.add(folder);
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
      else if (found.size > maximumBytes) skipped.push({ path, reason: "too-large" });
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

const longestLine = 10_000;

/**
 * The text of a file: UTF-8 or UTF-16 by its byte order mark, or Windows-1252 where neither fits; else why there is none.
 * Binary is what holds a NUL byte, as in git, or control characters where it is no Unicode. Minified is code with a line
 * of more than 10,000 characters.
 */
export function textOf(path: string, bytes: Uint8Array): { text: string } | { reason: Skipped["reason"] } {
  const text = decode(bytes);
  if (text === undefined) return { reason: "binary" };
  const language = languageOf(path);
  if (language !== "markdown" && language !== "text" && hasLongLine(text)) return { reason: "minified" };
  return { text };
}

function decode(bytes: Uint8Array): string | undefined {
  const wide =
    bytes[0] === 0xff && bytes[1] === 0xfe
      ? "utf-16le"
      : bytes[0] === 0xfe && bytes[1] === 0xff
        ? "utf-16be"
        : undefined;
  if (!wide && bytes.includes(0)) return undefined;
  try {
    return new TextDecoder(wide ?? "utf-8", { fatal: true }).decode(bytes);
  } catch {
    if (wide || bytes.some((byte) => byte < 9 || (byte > 13 && byte < 27) || (byte > 27 && byte < 32) || byte === 127))
      return undefined;
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

function hasLongLine(text: string): boolean {
  for (let from = 0; from <= text.length; ) {
    const end = text.indexOf("\n", from);
    if ((end < 0 ? text.length : end) - from > longestLine) return true;
    if (end < 0) return false;
    from = end + 1;
  }
  return false;
}

const gone = new Set(["EACCES", "ELOOP", "ENOENT", "ENOTDIR", "EPERM"]);

/** The bytes of a listed file: "gone" where it is no more or may not be read, "unreadable" where reading it failed. */
export const bytesOf = (file: FileEntry): Promise<Uint8Array | "gone" | "unreadable"> =>
  readFile(file.absolute).catch(({ code }: NodeJS.ErrnoException) => (gone.has(code ?? "") ? "gone" : "unreadable"));

// by the names that test runners look for
const isTest = (path: string): boolean =>
  /(?:^|\/)(?:tests?|__tests__|specs?)\/|[._-](?:test|spec)\.\w+$|(?:^|\/)test_[^/]*\.py$/.test(path);

/**
 * A whole file as a passage; the chunkers cut it, and put a "#" before what they add to its id. `metadata.test` is there
 * where the file is a test, so that a filter can leave tests out.
 */
export const documentOf = (path: string, text: string): Passage => ({
  id: path.replaceAll("#", "%23"),
  text,
  source: { path },
  metadata: { language: languageOf(path), ...(isTest(path) && { test: true }) },
});
