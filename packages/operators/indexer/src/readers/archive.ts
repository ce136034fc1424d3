import { missing } from "@tessera/core/internal";
import { type ReaderContext, UnreadFile } from "./reader.js";
import { parseXml, type Xml } from "./xml.js";

/** The parts of a ZIP file. */
export interface Archive {
  readonly names: readonly string[];
  has(name: string): boolean;
  /** @throws UnreadFile "limit" where all that was unpacked together is too much, "damaged" where there is no such part */
  bytes(name: string): Uint8Array;
  /** The root element of a part, or `undefined` where there is no such part. */
  xml(name: string): Promise<Xml | undefined>;
}

const latin1 = new TextDecoder("latin1");

/** Whether bytes are a ZIP file that names a part, in its directory or as its first. */
export const isZipWith = (bytes: Uint8Array, part: string): boolean =>
  bytes[0] === 0x50 &&
  bytes[1] === 0x4b &&
  bytes[2] === 3 &&
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(part);

/** Whether bytes are an old office file, or a new one that a password keeps: both are containers of Microsoft's. */
const isCompound = (bytes: Uint8Array): boolean =>
  [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1].every((byte, index) => bytes[index] === byte);

const encryptedMark = Buffer.from("EncryptedPackage", "utf16le");

/** Opens a ZIP file. @throws UnreadFile */
export async function openArchive(bytes: Uint8Array, context: ReaderContext): Promise<Archive> {
  if (isCompound(bytes)) {
    if (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(encryptedMark))
      throw new UnreadFile("encrypted", "a password keeps it: save it without one to have it read");
    throw new UnreadFile("unsupported", "it has an old office format: save it in the current one (DOCX, PPTX, XLSX)");
  }
  const { unzipSync } = await import("fflate").catch(missing("fflate"));
  const sizes = new Map<string, number>();
  const unpack = (wanted: (name: string) => boolean): Record<string, Uint8Array> => {
    try {
      return unzipSync(bytes, { filter: ({ name }) => wanted(name) });
    } catch (cause) {
      throw new UnreadFile("damaged", `its parts cannot be unpacked: ${(cause as Error).message}`);
    }
  };
  try {
    unzipSync(bytes, { filter: ({ name, originalSize }) => !sizes.set(name, originalSize) });
  } catch (cause) {
    throw new UnreadFile("damaged", `it is no ZIP file: ${(cause as Error).message}`);
  }
  let unpacked = 0;
  const archive: Archive = {
    names: [...sizes.keys()],
    has: (name) => sizes.has(name),
    bytes(name) {
      const size = sizes.get(name);
      if (size === undefined) throw new UnreadFile("damaged", `the part ${name} is missing`);
      unpacked += size;
      if (unpacked > context.limits.unpacked)
        throw new UnreadFile("limit", `its parts unpack to more than ${Math.round(context.limits.unpacked / 1e6)} MB`);
      return unpack((one) => one === name)[name]!;
    },
    async xml(name) {
      return sizes.has(name) ? parseXml(archive.bytes(name), context) : undefined;
    },
  };
  return archive;
}

const folderOf = (name: string): string => name.slice(0, name.lastIndexOf("/") + 1);

/** A path within an archive that is written relative to a part. */
export function partPath(from: string, target: string): string {
  const parts: string[] = [];
  for (const step of (target.startsWith("/") ? target : folderOf(from) + target).split("/"))
    if (step === "..") parts.pop();
    else if (step !== "" && step !== ".") parts.push(step);
  return parts.join("/");
}

/** What a part of an office file refers to, by id, and by the last word of its type ("slide", "notesSlide"). */
interface Relation {
  readonly id: string;
  readonly type: string;
  readonly target: string;
}

export async function relationsOf(archive: Archive, part: string): Promise<Relation[]> {
  const folder = folderOf(part);
  const root = await archive.xml(`${folder}_rels/${part.slice(folder.length)}.rels`);
  return (root?.all("Relationship") ?? [])
    .filter((one) => one.attribute("TargetMode") !== "External")
    .map((one) => ({
      id: one.attribute("Id") ?? "",
      type: (one.attribute("Type") ?? "").replace(/^.*\//, ""),
      target: partPath(part, one.attribute("Target") ?? ""),
    }));
}

/** The main part of an office file. */
export async function mainPart(archive: Archive, usual: string): Promise<string> {
  const named = (await relationsOf(archive, "")).find(({ type }) => type === "officeDocument")?.target;
  return named !== undefined && archive.has(named) ? named : usual;
}

export const startsLike = (bytes: Uint8Array, pattern: RegExp, length = 1024): boolean =>
  pattern.test(latin1.decode(bytes.subarray(0, length)));
