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

const problem = ({ path, name }: StoredRows, message: string, cause?: unknown): TesseraError =>
  new TesseraError("BAD_BUNDLE", message, { path: `${path}#${name}`, cause });

/** Bytes of one row of `columns` values. */
const rowBytesOf = (type: StoredType, columns: number): number =>
  (columns / blockTypes[type].values) * blockTypes[type].bytes;

/**
 * Gives the bytes of the rows in their order, some rows at a time: `take` gets the number of the first, how many there are, and
 * the bytes, which are overwritten by the next ones. Heads that lie interleaved come whole. Holds the thread that calls.
 */
function eachPiece(
  stored: StoredRows,
  rows: number,
  columns: number,
  take: (first: number, count: number, view: DataView) => void,
): void {
  const { path, offset, type, interleaved: unit = 1 } = stored;
  const rowBytes = rowBytesOf(type, columns);
  const rowsAtOnce = Math.min(rows, Math.max(unit, Math.floor(pieceBytes / rowBytes / unit) * unit));
  const piece = Buffer.alloc(rowsAtOnce * rowBytes);
  const view = new DataView(piece.buffer, piece.byteOffset, piece.length);
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    throw problem(stored, `the file cannot be read: ${messageOf(cause)}`, cause);
  }
  try {
    for (let first = 0; first < rows; first += rowsAtOnce) {
      const count = Math.min(rowsAtOnce, rows - first);
      const wanted = count * rowBytes;
      let at = 0;
      while (at < wanted) {
        const got = readSync(file, piece, at, wanted - at, offset + first * rowBytes + at);
        if (got === 0) throw problem(stored, "the file ends within the tensor: it is cut short");
        at += got;
      }
      take(first, count, view);
    }
  } finally {
    closeSync(file);
  }
}

/**
 * Gives the rows in their order, some at a time, in fp32: `take` gets the number of the first and their values, which
 * are overwritten by the next ones. Holds the thread that calls.
 * @throws TesseraError BAD_BUNDLE where the file has changed or a value is not finite
 */
export function eachRows(
  stored: StoredRows,
  rows: number,
  columns: number,
  take: (first: number, values: Float32Array) => void,
): void {
  const { type, interleaved } = stored;
  const { values: perBlock, read } = blockTypes[type];
  let found = new Float32Array(0);
  const turned = interleaved === undefined ? undefined : new Float32Array(interleaved * columns);
  eachPiece(stored, rows, columns, (first, count, view) => {
    if (found.length < count * columns) found = new Float32Array(count * columns);
    read(view, 0, (count * columns) / perBlock, found);
    const values = found.subarray(0, count * columns);
    if (!areFinite(values)) throw problem(stored, "a value is not finite");
    if (turned)
      for (let head = 0; head < count; head += interleaved!) halveSplit(values, head * columns, columns, turned);
    take(first, values);
  });
}

/**
 * Gives the rows as they are stored: `take` gets the number of a row and where its bytes begin; false says that a number in it
 * is not finite. Otherwise as `eachRows`, but that heads that lie interleaved come in the order of the file.
 */
export function eachStoredRow(
  stored: StoredRows,
  rows: number,
  columns: number,
  take: (row: number, view: DataView, at: number) => boolean,
): void {
  const { type, interleaved } = stored;
  const bytes = rowBytesOf(type, columns);
  eachPiece(stored, rows, columns, (first, count, view) => {
    for (let i = 0; i < count; i++) {
      const row = first + i;
      const within = interleaved ? row % interleaved : 0;
      const place = interleaved ? row - within + (within >> 1) + (within & 1) * (interleaved / 2) : row;
      if (!take(place, view, i * bytes)) throw problem(stored, "a value is not finite");
    }
  });
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
