import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { sha256 } from "@tessera/core/internal";
import { z } from "zod";

/** A folder of this user in `$TESSERA_HOME`, or else in `.tessera` of the home folder. */
export const homeOf = (what: "indexes" | "conversations"): string =>
  join(process.env.TESSERA_HOME ?? join(homedir(), ".tessera"), what);

/** The folder of all indexes of this user. */
const indexHome = (): string => homeOf("indexes");

const noteSchema = z.object({
  /** The folder that was indexed, and what makes the vectors. */
  root: z.string(),
  encoder: z.string(),
  /** What the folder is on its disk, wherever it is moved to. */
  disk: z.string(),
  /** Milliseconds since 1970. */
  used: z.number(),
});

/** An index of this user. */
interface IndexNote extends z.infer<typeof noteSchema> {
  readonly folder: string;
}

const noteFile = "place.json";

const diskOf = async (root: string): Promise<string | undefined> => {
  const found = await stat(root).catch(() => undefined);
  return found?.isDirectory() ? `${found.dev}:${found.ino}` : undefined;
};

const folderOf = (root: string, encoder: string): string =>
  join(indexHome(), `${basename(root)}-${sha256(`${root}\n${encoder}`).slice(0, 8)}`);

/** Every index that lies in the home, by its folder. */
export async function listIndexes(): Promise<IndexNote[]> {
  const names = (await readdir(indexHome()).catch(() => [])).sort();
  const notes = await Promise.all(
    names.map(async (name): Promise<IndexNote[]> => {
      const folder = join(indexHome(), name);
      try {
        return [{ folder, ...noteSchema.parse(JSON.parse(await readFile(join(folder, noteFile), "utf8"))) }];
      } catch {
        return [];
      }
    }),
  );
  return notes.flat();
}

/**
 * The folder of the index of a folder, from whatever working directory. Where the indexed folder was moved, its index goes
 * with it.
 */
export async function locateIndex(root: string, encoder: string): Promise<string> {
  const folder = folderOf(root, encoder);
  if (await stat(folder).catch(() => undefined)) return folder;
  const disk = await diskOf(root);
  for (const one of await listIndexes()) {
    if (one.encoder !== encoder || one.disk !== disk || (await diskOf(one.root)) === disk) continue;
    // another process may move it at the same time: then it is made anew, which loses nothing
    if (
      await rename(one.folder, folder)
        .then(() => true)
        .catch(() => false)
    )
      return folder;
  }
  return folder;
}

/** Notes beside an index what it is of, and that it was used now. */
export async function noteIndex(folder: string, root: string, encoder: string): Promise<void> {
  const note = { root, encoder, disk: (await diskOf(root)) ?? "", used: Date.now() };
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, noteFile), JSON.stringify(note)).catch(() => {}); // an index on a disk that is read-only
}

/** Bytes of all files in a folder. */
export async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => (await stat(join(entry.parentPath, entry.name)).catch(() => undefined))?.size ?? 0);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** Removes indexes: those whose folder is no more, and those that were not used for some days. @returns what was removed */
export async function pruneIndexes({
  olderThanDays,
}: {
  readonly olderThanDays?: number | undefined;
}): Promise<IndexNote[]> {
  const latest = olderThanDays === undefined ? Number.NEGATIVE_INFINITY : Date.now() - olderThanDays * 86_400_000;
  const removed: IndexNote[] = [];
  for (const one of await listIndexes()) {
    const isThere = (await diskOf(one.root)) !== undefined;
    if (isThere && one.used >= latest) continue;
    await rm(one.folder, { recursive: true, force: true });
    removed.push(one);
  }
  return removed;
}
