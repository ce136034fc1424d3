import { TesseraError } from "../errors.js";

/*
 * A segment is one file of a log:
 *
 *   0   magic "TSRLOG1\n", number of the segment, sequence number of its first entry, checksum of these
 *   24  the mark: confirmed length of the file, next sequence number, oldest segment of the log, whether a later segment
 *       exists, checksum of these
 *   52  entries: length of the payload, checksum, sequence number, whether the group goes on, payload
 *
 * The mark is written in place after each sync and says what was confirmed. So bytes that are missing before it are a
 * loss, and bytes behind it that are no whole entry were never confirmed.
 */

let zlib: typeof import("node:zlib") | undefined;
// zlib takes milliseconds to load: the first log needs it, and not everyone who imports this package
const crc32 = (bytes: Buffer, from?: number): number => {
  zlib ??= process.getBuiltinModule("node:zlib");
  return zlib.crc32(bytes, from);
};

const magic = Buffer.from("TSRLOG1\n", "latin1");
const markAt = 24;
export const headerBytes = 52;
export const entryHeaderBytes = 17;

/** What a segment says of itself at its beginning. */
interface SegmentHeader {
  readonly number: number;
  /** The sequence number of its first entry. */
  readonly first: number;
}

/** What was confirmed when the segment was last synced. */
export interface Mark {
  /** Bytes of the file. */
  readonly length: number;
  /** The sequence number of the next entry. */
  readonly next: number;
  /** The number of the first segment that still counts. */
  readonly oldest: number;
  /** Whether there is a later segment. */
  readonly succeeded: boolean;
}

const writeCount = (bytes: Buffer, value: number, at: number): void => {
  bytes.writeUInt32LE(value % 2 ** 32, at);
  bytes.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
};
const readCount = (bytes: Buffer, at: number): number => bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;

/** A new segment's first bytes. */
export function encodeHeader({ number, first }: SegmentHeader, mark: Mark): Buffer {
  const bytes = Buffer.alloc(headerBytes);
  magic.copy(bytes);
  bytes.writeUInt32LE(number, 8);
  writeCount(bytes, first, 12);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 20)), 20);
  encodeMark(mark).copy(bytes, markAt);
  return bytes;
}

export const markPosition = markAt;

export function encodeMark({ length, next, oldest, succeeded }: Mark): Buffer {
  const bytes = Buffer.alloc(headerBytes - markAt);
  writeCount(bytes, length, 0);
  writeCount(bytes, next, 8);
  bytes.writeUInt32LE(oldest, 16);
  bytes.writeUInt32LE(succeeded ? 1 : 0, 20);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 24)), 24);
  return bytes;
}

export const corrupt = (path: string, message: string, cause?: unknown): TesseraError =>
  new TesseraError("RECORD_CORRUPT", message, { path, cause, hint: "restore the file from a backup" });

/** @throws TesseraError RECORD_CORRUPT */
export function decodeHeader(bytes: Buffer, path: string): SegmentHeader & { readonly mark: Mark } {
  if (bytes.length < headerBytes) throw corrupt(path, "a file of a log was cut short");
  if (
    bytes.compare(magic, 0, magic.length, 0, magic.length) !== 0 ||
    bytes.readUInt32LE(20) !== crc32(bytes.subarray(0, 20))
  )
    throw corrupt(path, "the beginning of a file of a log is damaged");
  const mark = bytes.subarray(markAt, headerBytes);
  if (mark.readUInt32LE(24) !== crc32(mark.subarray(0, 24)))
    throw corrupt(path, "the mark of a file of a log is damaged");
  return {
    number: bytes.readUInt32LE(8),
    first: readCount(bytes, 12),
    mark: {
      length: readCount(mark, 0),
      next: readCount(mark, 8),
      oldest: mark.readUInt32LE(16),
      succeeded: mark.readUInt32LE(20) === 1,
    },
  };
}

/** Writes an entry into `bytes` at a place; gives the place behind it. */
export function encodeEntry(
  bytes: Buffer,
  at: number,
  {
    sequence,
    more,
    payload,
  }: {
    readonly sequence: number;
    readonly more: boolean;
    readonly payload: Uint8Array | { readonly length: number; copy(target: Buffer, at: number): void };
  },
): number {
  const start = at + entryHeaderBytes;
  const end = start + payload.length;
  bytes.writeUInt32LE(payload.length, at);
  writeCount(bytes, sequence, at + 8);
  bytes[at + 16] = more ? 1 : 0;
  if (payload instanceof Uint8Array) bytes.set(payload, start);
  else payload.copy(bytes, start);
  bytes.writeUInt32LE(checksum(bytes, at, end), at + 4);
  return end;
}

const checksum = (bytes: Buffer, at: number, end: number): number =>
  crc32(bytes.subarray(at + 8, end), crc32(bytes.subarray(at, at + 4)));

export interface Entry {
  readonly sequence: number;
  /** Whether the next entry belongs to the same group. */
  readonly more: boolean;
  readonly payload: Buffer;
  /** The place behind it. */
  readonly end: number;
}

/** The entry at a place of a file; nothing where there is no whole one. */
export function decodeEntry(bytes: Buffer, at: number): Entry | undefined {
  const start = at + entryHeaderBytes;
  if (start > bytes.length) return undefined;
  const end = start + bytes.readUInt32LE(at);
  if (end > bytes.length || bytes.readUInt32LE(at + 4) !== checksum(bytes, at, end)) return undefined;
  return { sequence: readCount(bytes, at + 8), more: bytes[at + 16] === 1, payload: bytes.subarray(start, end), end };
}
