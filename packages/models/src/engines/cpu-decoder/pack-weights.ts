import type { Weight } from "../../architectures/decoder.js";
import type { Matrix } from "../../architectures/encoder.js";
import { dequantise, quantise } from "../../architectures/encoder.js";
import { halfTable, partOf, type StoredType } from "../../formats/quantised-blocks.js";
import { eachRows, eachStoredRow, type StoredRows } from "../../formats/stored-rows.js";
import { blockPanelRows, lane, panelRows } from "./kernel-parts.js";
import type { BlockFormatName } from "./kernels.js";

// How the weights of a matrix lie in the memory of the kernels (kernel-products.ts, kernel-blocks.ts say what these expect).

/**
 * "float": fp32. "rows": int8 with a scale a row, as our bundles store it. The others have a scale and a middle for every block
 * of columns, for weights that a file has in another type: a scale a row loses 1 % of the perplexity of SmolLM2, and blocks
 * hold most types of GGUF as they are. "eights" and "narrow" hold 8 bits in blocks of 32 and of 16 columns, "foursHalf" and
 * "foursSingle" the types of 4 bits, with scales of 16 bits as the file has them or of 32.
 */
export type PackedKind = "float" | "rows" | BlockFormatName;

export const padded = (components: number): number => Math.ceil(components / lane) * lane;

/** Columns of a block, bytes of a weight, and bytes of a scale, of which there are two a block and row. */
const sizes: Readonly<Record<BlockFormatName, readonly [columns: number, weight: number, scale: number]>> = {
  eights: [32, 1, 4],
  narrow: [16, 1, 4],
  foursHalf: [32, 0.5, 2],
  foursSingle: [32, 0.5, 4],
};

export const isBlocks = (kind: PackedKind): kind is BlockFormatName => kind !== "float" && kind !== "rows";
export const isFours = (kind: PackedKind): boolean => kind === "foursHalf" || kind === "foursSingle";

const plainTile = { rows: panelRows, columns: lane } as const;
const blockTiles = {
  eights: { rows: blockPanelRows, columns: 32 },
  narrow: { rows: blockPanelRows, columns: 16 },
  foursHalf: { rows: blockPanelRows, columns: 32 },
  foursSingle: { rows: blockPanelRows, columns: 32 },
} as const satisfies Record<BlockFormatName, object>;

/** Rows of a panel, and columns of a step of the product over one. */
export const tileOf = (kind: PackedKind): { readonly rows: number; readonly columns: number } =>
  isBlocks(kind) ? blockTiles[kind] : plainTile;

/** The kind that holds a stored matrix with the least loss in the least memory. */
export function kindOfStored({ type }: StoredRows, columns: number): PackedKind {
  if (type === "Q4_0" || type === "Q4_1") return "foursHalf";
  if (type === "Q4_K") return "foursSingle";
  return padded(columns) % 32 === 0 ? "eights" : "narrow";
}

/** Bytes of weights and of scales. */
export function bytesOfMatrix(kind: PackedKind, rows: number, columns: number): { weights: number; scales: number } {
  const [outputs, inputs] = [padded(rows), padded(columns)];
  if (!isBlocks(kind)) return { weights: outputs * inputs * (kind === "float" ? 4 : 1), scales: 4 * outputs };
  const [block, weight, scale] = sizes[kind];
  return { weights: outputs * inputs * weight, scales: (2 * scale * outputs * inputs) / block };
}

/** Where a matrix is to be written, or lies: bytes of weights and of scales. */
interface PackedPlace {
  readonly kind: PackedKind;
  readonly columns: number;
  readonly weights: number;
  readonly scales: number;
}

/** Packs a matrix; one that lies in a file is read and packed some rows at a time. */
export function writeMatrix(weight: Weight, memory: ArrayBufferLike, place: PackedPlace): void {
  const { rows, columns } = weight;
  const bytes = bytesOfMatrix(place.kind, rows, columns);
  const scales = new Float32Array(memory, place.scales, bytes.scales / 4);
  if (isBlocks(place.kind) && "stored" in weight) {
    const room = { weights: new Uint8Array(memory, place.weights, bytes.weights), scales, columns };
    const copy = copiers[weight.stored.type]?.(room);
    if (copy) return eachStoredRow(weight.stored, rows, columns, copy);
    const block = sizes[place.kind][0];
    const into = new Int8Array(memory, place.weights, bytes.weights);
    return eachRows(weight.stored, rows, columns, (first, values) =>
      packBlocks(into, scales, block, first, { columns, values }),
    );
  }
  const into = place.kind === "float" ? new Float32Array(memory, place.weights, bytes.weights / 4) : undefined;
  if (into) scales.fill(1);
  const pack = (matrix: Matrix, first: number): void => {
    if (into) return packPanels(into, dequantise(matrix), first, matrix);
    const { values, scale } = quantise(matrix);
    packPanels(new Int8Array(memory, place.weights, bytes.weights), values as Int8Array, first, matrix);
    scales.set(scale!, first);
  };
  if (!("stored" in weight)) return pack(weight, 0);
  eachRows(weight.stored, rows, columns, (first, values) =>
    pack({ rows: values.length / columns, columns, values }, first),
  );
}

/** Room for a matrix in blocks. */
interface BlockRoom {
  readonly weights: Uint8Array;
  readonly scales: Float32Array;
  readonly columns: number;
}

type RowCopier = (row: number, view: DataView, at: number) => boolean;

const isFiniteHalf = (bits: number): boolean => (bits & 0x7c00) !== 0x7c00;
const lowHalves = 0x0f0f0f0f;

/** Where the scale of a row's block stands among all, that of the next block stands `2 · blockPanelRows` behind. */
const scalePlace = (row: number, blocks: number): number =>
  2 * Math.floor(row / blockPanelRows) * blocks * blockPanelRows + (row % blockPanelRows);

/** A copier of rows of 4 bits; `write` packs the blocks of a row from the first byte on, from word `to`, `words` a block. */
function fours(
  { weights, columns }: BlockRoom,
  write: (row: number, view: DataView, at: number, words: Uint32Array, to: number) => boolean,
): RowCopier {
  const words = new Uint32Array(weights.buffer, weights.byteOffset, weights.length / 4);
  const panel = (blockPanelRows * columns) / 8;
  return (row, view, at) =>
    write(row, view, at, words, Math.floor(row / blockPanelRows) * panel + (row % blockPanelRows));
}

const wordsOfBlock = (blockPanelRows * 32) / 8;
const wordsOfEight = wordsOfBlock / 4;

/** Q4_0 and Q4_1: a block of 32 has column i in the low half of byte i and column i + 16 in its high half. */
const simpleFours =
  (least: boolean) =>
  (room: BlockRoom): RowCopier => {
    const blocks = room.columns / 32;
    const halves = new Uint16Array(room.scales.buffer, room.scales.byteOffset, 2 * room.scales.length);
    const head = least ? 4 : 2;
    return fours(room, (row, view, at, words, to) => {
      let [from, place, word, finite] = [at, scalePlace(row, blocks), to, true];
      for (let b = 0; b < blocks; b++) {
        const scale = view.getUint16(from, true);
        const middle = least ? view.getUint16(from + 2, true) : timesMinusEight(scale);
        finite &&= isFiniteHalf(scale) && isFiniteHalf(middle);
        halves[place] = scale;
        halves[place + blockPanelRows] = middle;
        for (let half = 0; half < 2; half++) {
          const first = view.getUint32(from + head + 8 * half, true);
          const second = view.getUint32(from + head + 8 * half + 4, true);
          words[word + wordsOfEight * half] = (first & lowHalves) | ((second & lowHalves) << 4);
          words[word + wordsOfEight * (half + 2)] = ((first >>> 4) & lowHalves) | (second & (lowHalves << 4));
        }
        from += head + 16;
        place += 2 * blockPanelRows;
        word += wordsOfBlock;
      }
      return finite;
    });
  };

/** A half times −8, exactly; infinite where it is too large. */
function timesMinusEight(bits: number): number {
  const sign = (bits & 0x8000) ^ 0x8000;
  const exponent = (bits >> 10) & 31;
  if (exponent > 0) return exponent + 3 > 30 ? sign | 0x7c00 : sign | (bits & 0x3ff) | ((exponent + 3) << 10);
  let fraction = (bits & 0x3ff) << 3;
  let raised = 0;
  while (fraction >= 0x800) {
    fraction >>= 1;
    raised += 1;
  }
  return fraction >= 0x400 ? sign | (fraction & 0x3ff) | ((raised + 1) << 10) : sign | fraction;
}

/** Q4_K: blocks of 256 in eight parts of 32, two of which share 32 bytes. */
const partedFours = (room: BlockRoom): RowCopier => {
  const { scales } = room;
  const blocks = room.columns / 32;
  const table = halfTable();
  return fours(room, (row, view, at, words, to) => {
    let finite = true;
    for (let b = 0; b < blocks; b++) {
      const from = at + 144 * (b >> 3);
      const part = b & 7;
      const { scale, least } = partOf(view, from + 4, part);
      const [d, m] = [view.getUint16(from, true), view.getUint16(from + 2, true)];
      finite &&= isFiniteHalf(d) && isFiniteHalf(m);
      const place = scalePlace(row, blocks) + 2 * blockPanelRows * b;
      scales[place] = table[d]! * scale;
      scales[place + blockPanelRows] = -(table[m]! * least);
      const bytes = from + 16 + 32 * (part >> 1);
      const shift = 4 * (part & 1);
      for (let eight = 0; eight < 4; eight++) {
        const first = (view.getUint32(bytes + 8 * eight, true) >>> shift) & lowHalves;
        const second = (view.getUint32(bytes + 8 * eight + 4, true) >>> shift) & lowHalves;
        words[to + wordsOfBlock * b + wordsOfEight * eight] = first | (second << 4);
      }
    }
    return finite;
  });
};

/** Q8_0: a half and 32 bytes with a sign. */
const eights = ({ weights, scales, columns }: BlockRoom): RowCopier => {
  const blocks = columns / 32;
  const pairs = new Uint16Array(weights.buffer, weights.byteOffset, weights.length / 2);
  const table = halfTable();
  return (row, view, at) => {
    let [from, place, finite] = [at, scalePlace(row, blocks), true];
    let to = Math.floor(row / blockPanelRows) * 8 * columns + (row % blockPanelRows);
    for (let b = 0; b < blocks; b++) {
      const scale = view.getUint16(from, true);
      finite &&= isFiniteHalf(scale);
      scales[place] = table[scale]!;
      for (let pair = 0; pair < 16; pair++) {
        pairs[to] = view.getUint16(from + 2 + 2 * pair, true);
        to += blockPanelRows;
      }
      from += 34;
      place += 2 * blockPanelRows;
    }
    return finite;
  };
};

/** Types whose blocks are copied as they are. */
const copiers: Partial<Record<StoredType, (room: BlockRoom) => RowCopier>> = {
  Q4_0: simpleFours(false),
  Q4_1: simpleFours(true),
  Q4_K: partedFours,
  Q8_0: eights,
};

/** Rows in fp32 as weights of 8 bits. */
function packBlocks(
  into: Int8Array,
  scales: Float32Array,
  block: number,
  first: number,
  { columns, values }: Pick<Matrix, "columns" | "values">,
): void {
  const rows = values.length / columns;
  const blocks = padded(columns) / block;
  const found = { scale: 0, middle: 0 };
  for (let r = 0; r < rows; r++) {
    const row = first + r;
    const [panel, within] = [Math.floor(row / blockPanelRows), row % blockPanelRows];
    for (let b = 0; b < blocks; b++) {
      const from = r * columns + b * block;
      const to = Math.min(from + block, (r + 1) * columns);
      grid(values as Float32Array, from, to, found);
      const place = panel * blocks + b;
      scales[2 * place * blockPanelRows + within] = found.scale;
      scales[(2 * place + 1) * blockPanelRows + within] = found.middle;
      if (found.scale === 0) continue;
      const rate = 1 / found.scale;
      const start = place * blockPanelRows * block + 8 * (within >> 2) + 2 * (within & 3);
      for (let i = from; i < to; i++) {
        const column = i - from;
        into[start + 32 * (column >> 1) + (column & 1)] = Math.round((values[i]! - found.middle) * rate);
      }
    }
  }
}

/** Steps between the least and the greatest value of a block whose values were stored with five bits or fewer. */
const fewSteps = 31;

/**
 * Scale and middle of values[from, to) as middle + scale · q, |q| ≤ 127. Exact where the values lie on such a grid, as those
 * of Q8_0 (middle 0) and of the types of four and five bits do; else 255 steps from the least to the greatest.
 */
function grid(values: Float32Array, from: number, to: number, found: { scale: number; middle: number }): void {
  let [least, most] = [values[from]!, values[from]!];
  for (let i = from + 1; i < to; i++) {
    const value = values[i]!;
    if (value < least) least = value;
    if (value > most) most = value;
  }
  const range = most - least;
  found.middle = least;
  found.scale = 0;
  // a block below the normal numbers counts as one value
  if (range < 2 ** -110) return;
  const peak = Math.max(-least, most);
  if (isGrid(values, from, to, 0, 127 / peak)) {
    found.scale = peak / 127;
    found.middle = 0;
    return;
  }
  for (let steps = 1; steps <= fewSteps; steps++)
    if (isGrid(values, from, to, least, steps / range)) {
      found.scale = range / steps;
      return;
    }
  found.scale = range / 254;
  found.middle = least + range / 2;
}

/** Whether (value − zero) · rate is whole for all values, but for their own rounding. */
function isGrid(values: Float32Array, from: number, to: number, zero: number, rate: number): boolean {
  for (let i = from; i < to; i++) {
    const place = (values[i]! - zero) * rate;
    if (Math.abs(place - Math.round(place)) > 1e-4) return false;
  }
  return true;
}

/** Panels of four rows; in a panel, one vector of each row in turn: 8 bytes, or 4 numbers of fp32. */
function packPanels<T extends Int8Array | Float32Array>(
  into: T,
  values: T,
  first: number,
  { rows, columns }: Pick<Matrix, "rows" | "columns">,
): void {
  const vector = into instanceof Int8Array ? 8 : 4;
  const panel = panelRows * padded(columns);
  for (let row = 0; row < rows; row++) {
    const start = Math.floor((first + row) / panelRows) * panel + ((first + row) % panelRows) * vector;
    const from = row * columns;
    for (let column = 0; column < columns; column++) {
      const lane = column % vector;
      into[start + (column - lane) * panelRows + lane] = values[from + column]!;
    }
  }
}

/** One row of a packed matrix, dequantised, into `out`. */
export function unpackRow(memory: ArrayBufferLike, matrix: PackedPlace, row: number, out: Float32Array): void {
  if (isBlocks(matrix.kind)) return unpackBlocks(memory, matrix, row, out);
  const { kind, columns, weights, scales } = matrix;
  const float = kind === "float";
  const vector = float ? 4 : 8;
  const length = panelRows * padded(columns);
  const at = weights + Math.floor(row / panelRows) * length * (float ? 4 : 1);
  const panel = float ? new Float32Array(memory, at, length) : new Int8Array(memory, at, length);
  const scale = float ? 1 : new Float32Array(memory, scales, row + 1)[row]!;
  const first = (row % panelRows) * vector;
  for (let column = 0; column < columns; column += vector) {
    const from = first + column * panelRows;
    for (let i = 0; i < vector; i++) out[column + i] = panel[from + i]! * scale;
  }
}

function unpackBlocks(
  memory: ArrayBufferLike,
  { kind, columns, weights, scales }: PackedPlace,
  row: number,
  out: Float32Array,
): void {
  const [block, weight, scaleBytes] = sizes[kind as BlockFormatName];
  const blocks = padded(columns) / block;
  const [panel, within] = [Math.floor(row / blockPanelRows), row % blockPanelRows];
  const size = blockPanelRows * padded(columns) * weight;
  const bytes = new Int8Array(memory, weights + panel * size, size);
  const count = 2 * blockPanelRows;
  const from = scales + scaleBytes * panel * blocks * count;
  const halves = scaleBytes === 2 ? new Uint16Array(memory, from, blocks * count) : undefined;
  const singles = halves ? undefined : new Float32Array(memory, from, blocks * count);
  const table = halfTable();
  const rate = (place: number): number => (halves ? table[halves[place]!]! : singles![place]!);
  for (let column = 0; column < columns; column++) {
    const b = Math.floor(column / block);
    const place = column % block;
    const q = isFours(kind)
      ? (bytes[(b * wordsOfBlock + (place >> 3) * wordsOfEight + within) * 4 + (place & 3)]! >> (place & 4)) & 15
      : bytes[b * blockPanelRows * block + 32 * (place >> 1) + 8 * (within >> 2) + 2 * (within & 3) + (place & 1)]!;
    out[column] = q * rate(b * count + within) + rate(b * count + blockPanelRows + within);
  }
}
