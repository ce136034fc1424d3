/** How many values a block holds, how many bytes it takes, and how it becomes numbers. */
interface BlockType {
  readonly values: number;
  readonly bytes: number;
  /** Writes `count` blocks from byte `at` on into `out`, from 0. */
  read(view: DataView, at: number, count: number, out: Float32Array): void;
}

let halves: Float32Array | undefined;

/** Every IEEE 754 binary16 as a number. */
export function halfTable(): Float32Array {
  if (halves) return halves;
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) table[bits] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    else table[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  halves = table;
  return table;
}

const single: BlockType["read"] = (view, at, count, out) => {
  for (let i = 0; i < count; i++) out[i] = view.getFloat32(at + 4 * i, true);
};

const half: BlockType["read"] = (view, at, count, out) => {
  const table = halfTable();
  for (let i = 0; i < count; i++) out[i] = table[view.getUint16(at + 2 * i, true)]!;
};

const brain: BlockType["read"] = (view, at, count, out) => {
  const words = new Uint32Array(out.buffer, out.byteOffset, count);
  for (let i = 0; i < count; i++) words[i] = view.getUint16(at + 2 * i, true) << 16;
};

/** x = d · q, q in −128 … 127. */
const eights: BlockType["read"] = (view, at, count, out) => {
  const table = halfTable();
  for (let block = 0, o = 0; block < count; block++, at += 34) {
    const d = table[view.getUint16(at, true)]!;
    for (let i = 0; i < 32; i++) out[o++] = d * view.getInt8(at + 2 + i);
  }
};

/**
 * Blocks of 32 values of 4 bits, value i in the low half of byte i and value i + 16 in its high half; a fifth bit of each
 * value may stand in a word of its own. x = d · (q − middle), or d · q + m where the block has a least value m.
 */
const fours = (fifth: boolean, least: boolean): BlockType["read"] => {
  const bits = least ? 4 : 2;
  const quarters = bits + (fifth ? 4 : 0);
  const middle = least ? 0 : fifth ? 16 : 8;
  return (view, at, count, out) => {
    const table = halfTable();
    for (let block = 0, o = 0; block < count; block++, at += quarters + 16, o += 32) {
      const d = table[view.getUint16(at, true)]!;
      const m = least ? table[view.getUint16(at + 2, true)]! : 0;
      const high = fifth ? view.getUint32(at + bits, true) : 0;
      for (let i = 0; i < 16; i++) {
        const byte = view.getUint8(at + quarters + i);
        out[o + i] = d * ((byte & 15) + ((high >>> i) & 1) * 16 - middle) + m;
        out[o + i + 16] = d * ((byte >> 4) + ((high >>> (i + 16)) & 1) * 16 - middle) + m;
      }
    }
  };
};

/** The scale and the least value, 6 bits each, of part `i` of a block of 256 (Q4_K, Q5_K). */
export function partOf(view: DataView, at: number, i: number): { scale: number; least: number } {
  if (i < 4) return { scale: view.getUint8(at + i) & 63, least: view.getUint8(at + i + 4) & 63 };
  const both = view.getUint8(at + i + 4);
  return {
    scale: (both & 15) | ((view.getUint8(at + i - 4) >> 6) << 4),
    least: (both >> 4) | ((view.getUint8(at + i) >> 6) << 4),
  };
}

/** Eight parts of 32 values: x = d · scale · q − dmin · least; a fifth bit of q is bit `part` of a byte a place. */
const parts = (fifth: boolean): BlockType["read"] => {
  const low = 16 + (fifth ? 32 : 0);
  return (view, at, count, out) => {
    const table = halfTable();
    for (let block = 0, o = 0; block < count; block++, at += low + 128)
      for (let part = 0; part < 8; part++) {
        const { scale, least } = partOf(view, at + 4, part);
        const d = table[view.getUint16(at, true)]! * scale;
        const m = table[view.getUint16(at + 2, true)]! * least;
        const shift = 4 * (part % 2);
        const from = at + low + 32 * (part >> 1);
        for (let i = 0; i < 32; i++) {
          const high = fifth ? ((view.getUint8(at + 16 + i) >> part) & 1) * 16 : 0;
          out[o++] = d * (((view.getUint8(from + i) >> shift) & 15) + high) - m;
        }
      }
  };
};

/** Sixteen parts of 16 values of 6 bits: x = d · scale · (q − 32). */
const sixes: BlockType["read"] = (view, at, count, out) => {
  const table = halfTable();
  for (let block = 0, o = 0; block < count; block++, at += 210, o += 256) {
    const d = table[view.getUint16(at + 208, true)]!;
    for (let i = 0; i < 256; i++) {
      const [side, place] = [i >> 7, i & 127];
      const quarter = place >> 5;
      const low = view.getUint8(at + 64 * side + (place & 63)) >> (place < 64 ? 0 : 4);
      const high = view.getUint8(at + 128 + 32 * side + (place & 31)) >> (2 * quarter);
      out[o + i] = d * view.getInt8(at + 192 + (i >> 4)) * (((low & 15) | ((high & 3) << 4)) - 32);
    }
  }
};

/** The types of stored values that are read, by their names in GGUF; the layouts are those of ggml. */
export const blockTypes = {
  F32: { values: 1, bytes: 4, read: single },
  F16: { values: 1, bytes: 2, read: half },
  BF16: { values: 1, bytes: 2, read: brain },
  Q8_0: { values: 32, bytes: 34, read: eights },
  Q4_0: { values: 32, bytes: 18, read: fours(false, false) },
  Q4_1: { values: 32, bytes: 20, read: fours(false, true) },
  Q5_0: { values: 32, bytes: 22, read: fours(true, false) },
  Q5_1: { values: 32, bytes: 24, read: fours(true, true) },
  Q4_K: { values: 256, bytes: 144, read: parts(false) },
  Q5_K: { values: 256, bytes: 176, read: parts(true) },
  Q6_K: { values: 256, bytes: 210, read: sixes },
} as const satisfies Record<string, BlockType>;

export type StoredType = keyof typeof blockTypes;
