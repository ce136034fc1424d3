import { createHash, randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import { canonicalJson, sha256 } from "@tessera/core/internal";
import { z } from "zod";

/** What a file of a snapshot holds, or a function that writes it at a path. */
export type Content = Uint8Array | ((path: string) => Promise<unknown>);

const manifestSchema = z.object({
  format: z.string(),
  version: z.number(),
  header: z.record(z.string(), z.json()),
  files: z.record(z.string(), z.object({ file: z.string().regex(/^[a-z]+\.[0-9a-f]{16}$/), sha256: z.string() })),
  /** Of the canonical JSON of the rest. */
  sha256: z.string(),
});
type Manifest = z.infer<typeof manifestSchema>;

interface Snapshot<Header = Record<string, z.infer<ReturnType<typeof z.json>>>> {
  readonly header: Header;
  /** The checked content of each file, and where it lies. */
  readonly files: Readonly<Record<string, { bytes: Buffer; path: string }>>;
}

const manifestName = "manifest.json";
const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException | null)?.code === "ENOENT";

async function flush(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function write(path: string, content: Content): Promise<string> {
  if (typeof content === "function") {
    await content(path);
    await flush(path);
    return digest(await readFile(path));
  }
  const handle = await open(path, "w");
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  return digest(content);
}

/**
 * Replaces the snapshot in a folder. Its files get new names and the manifest is renamed over the old one last, so that
 * a kill at any moment leaves the old snapshot or the new one.
 * @throws TesseraError STORE_FAILED
 */
export async function writeSnapshot(
  folder: string,
  { format, version, header }: Pick<Manifest, "format" | "version" | "header">,
  contents: Readonly<Record<string, Content>>,
): Promise<void> {
  const generation = randomBytes(8).toString("hex");
  const written: string[] = [];
  const temporary = join(folder, `${manifestName}.${generation}`);
  try {
    await mkdir(folder, { recursive: true });
    const before = await readManifest(folder).catch(() => undefined);
    const files: Manifest["files"] = {};
    for (const [name, content] of Object.entries(contents)) {
      const file = `${name}.${generation}`;
      written.push(join(folder, file));
      files[name] = { file, sha256: await write(join(folder, file), content) };
    }
    written.push(temporary);
    const manifest = { format, version, header, files };
    const signed: Manifest = { ...manifest, sha256: sha256(canonicalJson(manifest)) };
    await write(temporary, Buffer.from(JSON.stringify(signed)));
    await rename(temporary, join(folder, manifestName));
    written.length = 0;
    await flush(folder).catch(() => {}); // some systems cannot open a folder
    for (const { file } of Object.values(before?.files ?? {})) await rm(join(folder, file), { force: true });
  } catch (cause) {
    for (const path of written) await rm(path, { force: true }).catch(() => {});
    throw new TesseraError("STORE_FAILED", "the index could not be written", {
      path: folder,
      hint: "the index that was there before is unchanged; look at the cause",
      cause,
    });
  }
}

const corrupt = (folder: string, reason: string, cause?: unknown): TesseraError =>
  new TesseraError("INDEX_CORRUPT", reason, { path: folder, hint: "index again", cause });

async function readManifest(folder: string): Promise<Manifest> {
  let text: string;
  try {
    text = await readFile(join(folder, manifestName), "utf8");
  } catch (cause) {
    if (isMissing(cause)) throw new TesseraError("INDEX_MISSING", "there is no index", { path: folder, cause });
    throw new TesseraError("STORE_FAILED", "the index could not be read", { path: folder, cause });
  }
  try {
    const manifest = manifestSchema.parse(JSON.parse(text));
    const { sha256: signature, ...rest } = manifest;
    if (sha256(canonicalJson(rest)) === signature) return manifest;
  } catch (cause) {
    throw corrupt(folder, "the manifest is damaged", cause);
  }
  throw corrupt(folder, "the manifest is damaged");
}

/**
 * Reads a snapshot, and checks every byte of it before anything uses it.
 * @throws TesseraError INDEX_MISSING, INDEX_CORRUPT, STORE_FAILED
 */
export async function readSnapshot<Header>(
  folder: string,
  { format, version, header }: { format: string; version: number; header: z.ZodType<Header> },
): Promise<Snapshot<Header>> {
  const manifest = await readManifest(folder);
  if (manifest.format !== format) throw corrupt(folder, `the index is a ${manifest.format}, not a ${format}`);
  if (manifest.version !== version)
    throw corrupt(folder, `the index has format version ${manifest.version}; this version reads ${version}`);
  const head = header.safeParse(manifest.header);
  if (!head.success) throw corrupt(folder, "the manifest is damaged", head.error);

  const files: Record<string, { bytes: Buffer; path: string }> = {};
  for (const [name, { file, sha256: expected }] of Object.entries(manifest.files)) {
    const path = join(folder, file);
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (cause) {
      // a writer replaced the snapshot after its manifest was read
      if (isMissing(cause) && JSON.stringify(await readManifest(folder)) !== JSON.stringify(manifest))
        return readSnapshot(folder, { format, version, header });
      if (isMissing(cause)) throw corrupt(folder, `${file} is missing`, cause);
      throw new TesseraError("STORE_FAILED", "the index could not be read", { path, cause });
    }
    if (digest(bytes) !== expected) throw corrupt(folder, `${file} is damaged`);
    files[name] = { bytes, path };
  }
  return { header: head.data, files };
}

/** The bytes of a typed array. */
export const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Bytes in an array buffer of their own, so that wider elements are aligned. */
export const alignedBuffer = (bytes: Uint8Array): ArrayBuffer =>
  bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
