import { closeSync, openSync, readSync } from "node:fs";
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
// A circle of types: a weight of a decoder may be rows that stay in their file, and such rows are a weight.
import type { Weight } from "../architectures/decoder.js";
import type { Matrix } from "../architectures/encoder.js";
import { blockTypes, type StoredType } from "./quantised-blocks.js";

/** Rows of numbers that lie in a file, one after another: plain data, so that any thread can read them. */
export interface StoredRows {
  readonly path: string;
  /** The tensor's name, for errors. */
  readonly name: string;
  /** The byte of the file where the first row begins. */
  readonly offset: number;
  readonly type: StoredType;
  /**
   * The rows of one head, where they lie interleaved for a rotation of neighbours, as in GGUF files of Llama: row 2i of a
   * head is its row i, and row 2i + 1 its row i + half.
   */
  readonly interleaved?: number | undefined;
}

/** Bytes that are read at once. */
const pieceBytes = 4 * 1024 * 1024;

/**
 * Gives the rows in their order, some at a time, in fp32: `take` gets the number of the first and their values, which
 * are overwritten by the next ones. Holds the thread that calls.
 * @throws TesseraError BAD_BUNDLE where the file has changed or a value is not finite
 */
export function eachRows(
  { path, name, offset, type, interleaved }: StoredRows,
  rows: number,
  columns: number,
  take: (first: number, values: Float32Array) => void,
): void {
  const { values: perBlock, bytes, read } = blockTypes[type];
  const rowBytes = (columns / perBlock) * bytes;
  const unit = interleaved ?? 1;
  const rowsAtOnce = Math.min(rows, Math.max(unit, Math.floor(pieceBytes / rowBytes / unit) * unit));
  const piece = Buffer.alloc(rowsAtOnce * rowBytes);
  const view = new DataView(piece.buffer, piece.byteOffset, piece.length);
  const found = new Float32Array(rowsAtOnce * columns);
  const turned = interleaved === undefined ? undefined : new Float32Array(interleaved * columns);
  const bad = (message: string, cause?: unknown): TesseraError =>
    new TesseraError("BAD_BUNDLE", message, { path: `${path}#${name}`, cause });
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    throw bad(`the file cannot be read: ${messageOf(cause)}`, cause);
  }
  try {
    for (let first = 0; first < rows; first += rowsAtOnce) {
      const count = Math.min(rowsAtOnce, rows - first);
      const wanted = count * rowBytes;
      let at = 0;
      while (at < wanted) {
        const got = readSync(file, piece, at, wanted - at, offset + first * rowBytes + at);
        if (got === 0) throw bad("the file ends within the tensor: it is cut short");
        at += got;
      }
      read(view, 0, wanted / bytes, found);
      const values = found.subarray(0, count * columns);
      if (!areFinite(values)) throw bad("a value is not finite");
      if (turned) for (let head = 0; head < count; head += unit) halveSplit(values, head * columns, columns, turned);
      take(first, values);
    }
  } finally {
    closeSync(file);
  }
}

/** Without a call a value: there may be hundreds of millions. */
function areFinite(values: Float32Array): boolean {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * 0;
  return sum === 0;
}

/** The rows of one head from interleaved to half after half. */
function halveSplit(values: Float32Array, from: number, columns: number, room: Float32Array): void {
  const rows = room.length / columns;
  room.set(values.subarray(from, from + room.length));
  for (let row = 0; row < rows; row++) {
    const source = row < rows / 2 ? 2 * row : 2 * (row - rows / 2) + 1;
    values.set(room.subarray(source * columns, (source + 1) * columns), from + row * columns);
  }
}

/** A tensor of a file, row-major. */
export interface StoredTensor {
  readonly shape: readonly number[];
  readonly stored: StoredRows;
}

/** Bytes of one row of `columns` values. */
const rowBytesOf = (type: StoredType, columns: number): number =>
  (columns / blockTypes[type].values) * blockTypes[type].bytes;

/** `count` rows from `first` on, where all dimensions but the last count as rows. */
export const rowsOfTensor = ({ shape, stored }: StoredTensor, first: number, count: number): StoredTensor => ({
  shape: [count, shape.at(-1)!],
  stored: { ...stored, offset: stored.offset + first * rowBytesOf(stored.type, shape.at(-1)!) },
});

/** A matrix with its values in memory. */
export function loaded(matrix: Weight): Matrix {
  if (!("stored" in matrix)) return matrix;
  const { rows, columns, stored, bias } = matrix;
  return { rows, columns, values: readRows(stored, rows, columns), bias };
}

/** All rows in fp32. */
export function readRows(stored: StoredRows, rows: number, columns: number): Float32Array {
  const values = new Float32Array(new SharedArrayBuffer(4 * rows * columns));
  eachRows(stored, rows, columns, (first, some) => values.set(some, first * columns));
  return values;
}
