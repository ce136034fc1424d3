import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { TesseraError } from "@tessera/core";
import { messageOf, sha256, unreadReasons } from "@tessera/core/internal";
import { z } from "zod";

/** Raised when an index written before can no longer be read. */
const format = 1;
export const manifestFile = "index.json";

const content = z.object({
  /** The folder that was indexed. */
  root: z.string(),
  /** What the passages depend on besides the files. */
  settings: z.string(),
  /** The folder, beside the manifest, that holds the data. */
  generation: z.string().regex(/^generation-[\w-]+$/),
  files: z.array(
    z.object({
      path: z.string(),
      size: z.number(),
      modified: z.number(),
      changed: z.number(),
      hash: z.string(),
      /** Where its passages stand in the generation, where it has any. */
      row: z.number().optional(),
      /** Why it gave no text, or what of it did not. */
      unread: z.array(z.object({ reason: z.enum(unreadReasons), detail: z.string().optional() })).optional(),
    }),
  ),
  participants: z.array(z.object({ name: z.string(), revision: z.string() })),
  /** Of every file in the generation. */
  sums: z.array(z.object({ path: z.string(), sha256: z.string() })),
});
export type Manifest = z.infer<typeof content>;
export type IndexedFile = Manifest["files"][number];

const corrupt = (path: string, reason: string, cause?: unknown) =>
  new TesseraError("INDEX_CORRUPT", `the index is damaged: ${reason}`, {
    path,
    hint: "build the index again from its sources (rebuild)",
    cause,
  });

/** @throws TesseraError INDEX_MISSING, INDEX_CORRUPT, STORE_FAILED */
export async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, manifestFile);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR")
      throw new TesseraError("INDEX_MISSING", "there is no index in this folder", {
        path: folder,
        hint: "build one first",
        cause,
      });
    throw new TesseraError("STORE_FAILED", `the index cannot be read: ${messageOf(cause)}`, { path, cause });
  }
  let outer: unknown;
  try {
    outer = JSON.parse(text);
  } catch (cause) {
    throw corrupt(path, "it is not JSON", cause);
  }
  const head = z.object({ format: z.number(), sha256: z.string(), content: z.unknown() }).safeParse(outer);
  if (!head.success) throw corrupt(path, "it is no manifest", head.error);
  if (head.data.format !== format)
    throw corrupt(path, `it has format ${head.data.format}, and this version reads ${format}`);
  if (sha256(JSON.stringify(head.data.content)) !== head.data.sha256) throw corrupt(path, "its checksum differs");
  const parsed = content.safeParse(head.data.content);
  if (!parsed.success) throw corrupt(path, "it is no manifest", parsed.error);
  return parsed.data;
}

/** Replaces the manifest: the moment at which a new index takes the place of the old one. */
export async function writeManifest(folder: string, manifest: Manifest, ready: () => Promise<void>): Promise<void> {
  const path = join(folder, manifestFile);
  const beside = `${path}.new`;
  const handle = await open(beside, "w");
  try {
    await handle.writeFile(JSON.stringify({ format, sha256: sha256(JSON.stringify(manifest)), content: manifest }));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await ready();
  await rename(beside, path);
  await flush(folder).catch(() => {}); // from here on the index is the new one; the old one is still there too
}

/** Waits until a file or folder is on the disk. */
export async function flush(path: string): Promise<void> {
  const handle = await open(path, "r").catch((error: unknown) => {
    if (process.platform === "win32") return undefined; // where folders cannot be opened
    throw error;
  });
  await handle?.sync().finally(() => handle.close());
}

async function sumOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** Puts everything in a generation on the disk, and returns the checksum of each file. */
export async function seal(generation: string): Promise<Manifest["sums"]> {
  const sums: Manifest["sums"] = [];
  const entries = await readdir(generation, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    await flush(path);
    if (entry.isFile()) sums.push({ path: relative(generation, path).split(sep).join("/"), sha256: await sumOf(path) });
  }
  await flush(generation);
  return sums.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * Reads the manifest and checks every file that it names.
 * @throws TesseraError INDEX_MISSING, INDEX_CORRUPT, STORE_FAILED
 */
export async function readChecked(folder: string): Promise<Manifest> {
  const manifest = await readManifest(folder);
  for (const { path, sha256: expected } of manifest.sums) {
    const absolute = join(folder, manifest.generation, path);
    const sum = await sumOf(absolute).catch((error: unknown) => error);
    if (sum === expected) continue;
    // a writer may have replaced the index since its manifest was read
    if ((await readManifest(folder)).generation !== manifest.generation) return readChecked(folder);
    throw typeof sum === "string" ? corrupt(absolute, "its checksum differs") : corrupt(absolute, messageOf(sum), sum);
  }
  return manifest;
}

/** Removes what no manifest names: older generations, and what a killed writer left. */
export async function sweep(folder: string, kept: readonly (string | undefined)[]): Promise<void> {
  for (const name of await readdir(folder).catch(() => []))
    if (
      (name.startsWith("generation-") && !kept.includes(name)) ||
      name.startsWith(`${manifestFile}.`) ||
      name.startsWith("lock.")
    )
      await rm(join(folder, name), { recursive: true, force: true }).catch(() => {});
}
