import { type FileHandle, open } from "node:fs/promises";
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { blockTypes, type StoredType } from "./quantised-blocks.js";
import type { StoredTensor } from "./stored-rows.js";

/** A value of GGUF's metadata; whole numbers beyond 2⁵³ are rounded. */
export type GgufValue = string | number | boolean | readonly GgufValue[];

/** Which tensors a file may have: those whose types are read here, or any. */
type GgufTypes = "read" | "any";

/** A GGUF file whose tensors stay where they are. */
export interface GgufFile {
  readonly path: string;
  readonly bytes: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** By their names in the file, without those of types that are not read here; shapes are row-major, the reverse of the file's own. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Whether a path names a GGUF file. */
export const isGguf = (path: string): boolean => /\.gguf$/i.test(path);

/** The types of tensors by their numbers; of those without an entry in `blockTypes` only the name is known. */
const tensorTypes: readonly (string | undefined)[] = Object.assign(new Array<string | undefined>(40), {
  ...{ 0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K" },
  ...{ 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S" },
  ...{ 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64" },
  ...{ 29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4" },
});

const stringType = 8;
const arrayType = 9;
/** Bytes of a value of each type of metadata, and how it is read; a string and an array have 8 at least. */
const scalars: readonly { readonly bytes: number; read(view: DataView, at: number): number | boolean }[] = [
  { bytes: 1, read: (view, at) => view.getUint8(at) },
  { bytes: 1, read: (view, at) => view.getInt8(at) },
  { bytes: 2, read: (view, at) => view.getUint16(at, true) },
  { bytes: 2, read: (view, at) => view.getInt16(at, true) },
  { bytes: 4, read: (view, at) => view.getUint32(at, true) },
  { bytes: 4, read: (view, at) => view.getInt32(at, true) },
  { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  { bytes: 1, read: (view, at) => view.getUint8(at) !== 0 },
  { bytes: 8, read: () => 0 },
  { bytes: 12, read: () => 0 },
  { bytes: 8, read: (view, at) => Number(view.getBigUint64(at, true)) },
  { bytes: 8, read: (view, at) => Number(view.getBigInt64(at, true)) },
  { bytes: 8, read: (view, at) => view.getFloat64(at, true) },
];

/** The longest header that is read, in bytes: a vocabulary of a million tokens has some tens of millions. */
const longestHeader = 512 * 1024 * 1024;
const deepestArray = 4;
const pieceBytes = 64 * 1024;

/**
 * Reads the header of a GGUF file (version 2 or 3, little-endian). Every count and length is compared with what is left of
 * the file before anything is made of it. With `types` "any" the file may be for another program, which reads types that
 * are not read here.
 * @throws TesseraError BAD_BUNDLE with the file, and the tensor or the key where there is one
 */
export async function readGguf(path: string, types: GgufTypes = "read"): Promise<GgufFile> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (cause) {
    throw new TesseraError("BAD_BUNDLE", `the file cannot be read: ${messageOf(cause)}`, { path, cause });
  }
  try {
    return await readHeader(new Cursor(file, path, (await file.stat()).size), types);
  } finally {
    await file.close();
  }
}

/** A place in a file that moves forward over bytes that are there. */
class Cursor {
  private view = new DataView(new ArrayBuffer(0));
  /** Where `view` begins in the file, and the place in it. */
  private base = 0;
  private at = 0;
  place = "";

  constructor(
    private readonly file: FileHandle,
    readonly path: string,
    readonly size: number,
  ) {}

  get offset(): number {
    return this.base + this.at;
  }

  get left(): number {
    return this.size - this.offset;
  }

  bad(message: string, cause?: unknown): TesseraError {
    return new TesseraError("BAD_BUNDLE", message, {
      path: this.place === "" ? this.path : `${this.path}#${this.place}`,
      cause,
      hint: "copy the file again, or make it again from the original",
    });
  }

  /** The next `bytes` bytes. */
  private async take(bytes: number): Promise<{ view: DataView; at: number }> {
    if (this.at + bytes > this.view.byteLength) await this.fill(bytes);
    const at = this.at;
    this.at += bytes;
    return { view: this.view, at };
  }

  private async fill(bytes: number): Promise<void> {
    if (bytes > this.left) throw this.bad(`the file ends at byte ${this.size}: it is cut short`);
    if (this.offset + bytes > longestHeader) throw this.bad(`the header is longer than ${longestHeader} bytes`);
    const piece = Buffer.alloc(Math.min(Math.max(bytes, pieceBytes), this.left));
    const from = this.offset;
    for (let got = 0; got < piece.length; ) {
      const { bytesRead } = await this.file.read(piece, got, piece.length - got, from + got);
      if (bytesRead === 0) throw this.bad(`the file ends at byte ${from + got}: it is cut short`);
      got += bytesRead;
    }
    [this.base, this.at] = [from, 0];
    this.view = new DataView(piece.buffer, piece.byteOffset, piece.length);
  }

  async scalar(type: number): Promise<number | boolean> {
    const { bytes, read } = scalars[type]!;
    const { view, at } = await this.take(bytes);
    return read(view, at);
  }

  async u32(): Promise<number> {
    return Number(await this.scalar(4));
  }

  /** A number of things of which each has `least` bytes or more. */
  async count(what: string, least: number): Promise<number> {
    const count = Number(await this.scalar(10));
    if (count > this.left / least)
      throw this.bad(`the file is said to have ${count} ${what}, and only ${this.left} bytes are left of it`);
    return count;
  }

  async string(): Promise<string> {
    const length = await this.count("bytes in a string", 1);
    const { view, at } = await this.take(length);
    return Buffer.from(view.buffer, view.byteOffset + at, length).toString("utf8");
  }

  async value(type: number, depth = 0): Promise<GgufValue> {
    if (type === stringType) return this.string();
    if (type !== arrayType) {
      if (!scalars[type]) throw this.bad(`there is no type ${type} of metadata`);
      return this.scalar(type);
    }
    if (depth === deepestArray) throw this.bad(`lists are nested more than ${deepestArray} deep`);
    const kind = await this.u32();
    if (!scalars[kind]) throw this.bad(`there is no type ${kind} of metadata`);
    const count = await this.count("entries in a list", scalars[kind].bytes);
    const values: GgufValue[] = [];
    // a vocabulary has a hundred thousand entries: one that lies in memory is read without waiting
    while (values.length < count) values.push(this.here(kind) ?? (await this.value(kind, depth + 1)));
    return values;
  }

  /** A value that lies in memory whole; undefined where it does not, and for a list. */
  private here(type: number): string | number | boolean | undefined {
    const { view, at } = this;
    const { bytes, read } = scalars[type]!;
    if (type === arrayType || at + bytes > view.byteLength) return undefined;
    const length = type === stringType ? Number(view.getBigUint64(at, true)) : 0;
    if (at + bytes + length > view.byteLength) return undefined;
    this.at = at + bytes + length;
    return type === stringType
      ? Buffer.from(view.buffer, view.byteOffset + at + bytes, length).toString("utf8")
      : read(view, at);
  }
}

async function readHeader(cursor: Cursor, types: GgufTypes): Promise<GgufFile> {
  if (cursor.left < 24) throw cursor.bad("a GGUF file has at least 24 bytes");
  if ((await cursor.u32()) !== 0x46554747) throw cursor.bad("the file does not begin with GGUF");
  const version = await cursor.u32();
  if (version !== 2 && version !== 3)
    throw cursor.bad(
      (version & 0xffff) === 0
        ? "the file is big-endian; little-endian files are read"
        : `version ${version} of GGUF is not read; read are 2 and 3`,
    );
  // a tensor has a name, the number of its dimensions, a type and an offset; an entry of metadata a key, a type, a value
  const tensorCount = await cursor.count("tensors", 24);
  const entries = await cursor.count("entries of metadata", 13);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < entries; i++) {
    cursor.place = "";
    const key = await cursor.string();
    cursor.place = key;
    if (metadata.has(key)) throw cursor.bad("the key stands there twice");
    metadata.set(key, await cursor.value(await cursor.u32()));
  }
  const found = new Map<string, FoundTensor>();
  for (let i = 0; i < tensorCount; i++) {
    cursor.place = "";
    const name = await cursor.string();
    cursor.place = name;
    if (found.has(name)) throw cursor.bad("the tensor stands there twice");
    found.set(name, await readTensor(cursor, types));
  }
  cursor.place = "general.alignment";
  const alignment = metadata.get("general.alignment") ?? 32;
  if (typeof alignment !== "number" || !(alignment >= 8 && alignment % 8 === 0 && alignment <= 2 ** 20))
    throw cursor.bad(`${String(alignment)} is no alignment`);
  const start = Math.ceil(cursor.offset / alignment) * alignment;
  return { path: cursor.path, bytes: cursor.size, metadata, tensors: placed(cursor, found, start, alignment) };
}

interface FoundTensor {
  readonly shape: readonly number[];
  /** Undefined where it is not read here. */
  readonly type: StoredType | undefined;
  readonly offset: number;
}

async function readTensor(cursor: Cursor, types: GgufTypes): Promise<FoundTensor> {
  const dimensions = await cursor.u32();
  if (dimensions < 1 || dimensions > 4) throw cursor.bad(`a tensor of ${dimensions} dimensions is not read`);
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) shape.unshift(Number(await cursor.scalar(10)));
  const number = await cursor.u32();
  const offset = Number(await cursor.scalar(10));
  const type = tensorTypes[number] ?? `number ${number}`;
  const isRead = Object.hasOwn(blockTypes, type);
  if (!isRead && types === "read")
    throw cursor.bad(`type ${type} is not read; read are ${Object.keys(blockTypes).join(", ")}`);
  return { shape, type: isRead ? (type as StoredType) : undefined, offset };
}

/** The tensors at their places in the file, each within it and beside the others. */
function placed(
  cursor: Cursor,
  found: ReadonlyMap<string, FoundTensor>,
  start: number,
  alignment: number,
): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  const spans: { from: number; to: number; name: string }[] = [];
  for (const [name, { shape, type, offset }] of found) {
    cursor.place = name;
    if (type === undefined) {
      if (!(start + offset <= cursor.size)) throw cursor.bad("the tensor begins behind the end of the file");
      continue;
    }
    const { values, bytes } = blockTypes[type];
    const count = shape.reduce((product, size) => product * size, 1);
    if (!Number.isSafeInteger(count) || count < 1) throw cursor.bad(`[${shape}] is no shape of a tensor`);
    if (shape.at(-1)! % values !== 0) throw cursor.bad(`rows of ${shape.at(-1)} values are no blocks of ${type}`);
    if (offset % alignment !== 0) throw cursor.bad(`the tensor begins at ${offset}, not at a multiple of ${alignment}`);
    const [from, to] = [start + offset, start + offset + (count / values) * bytes];
    if (!(to <= cursor.size))
      throw cursor.bad(`the tensor ends at byte ${to}, the file at ${cursor.size}: it is cut short`);
    spans.push({ from, to, name });
    tensors.set(name, { shape, stored: { path: cursor.path, name, offset: from, type } });
  }
  let end = start;
  for (const { from, to, name } of spans.sort((a, b) => a.from - b.from)) {
    cursor.place = name;
    if (from < end) throw cursor.bad("the tensor overlaps another");
    end = to;
  }
  return tensors;
}
