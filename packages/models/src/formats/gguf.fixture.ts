import { blockTypes, type StoredType } from "./quantised-blocks.js";

type Meta = string | number | boolean | readonly string[] | readonly number[] | { readonly f32: number };

const numbers: Readonly<Record<string, number>> = {
  ...{ F32: 0, F16: 1, Q4_0: 2, Q4_1: 3, Q5_0: 6, Q5_1: 7, Q8_0: 8, Q4_K: 12, Q5_K: 13, Q6_K: 14, BF16: 30 },
};

/** A tensor for `writeGguf`: `shape` is row-major, `bytes` its blocks as they are stored. */
export interface WrittenTensor {
  readonly shape: readonly number[];
  readonly type: StoredType | number;
  readonly bytes: Uint8Array;
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return bytes;
};
const f32 = (value: number): Buffer => Buffer.from(Float32Array.of(value).buffer);
const string = (text: string): Buffer => Buffer.concat([u64(Buffer.byteLength(text)), Buffer.from(text)]);

function metaOf(value: Meta): Buffer {
  if (typeof value === "string") return Buffer.concat([u32(8), string(value)]);
  if (typeof value === "boolean") return Buffer.concat([u32(7), Buffer.of(Number(value))]);
  if (typeof value === "number")
    return Number.isInteger(value) ? Buffer.concat([u32(4), u32(value)]) : Buffer.concat([u32(6), f32(value)]);
  if (!Array.isArray(value)) return Buffer.concat([u32(6), f32((value as { f32: number }).f32)]);
  const texts = value.length === 0 || typeof value[0] === "string";
  const items = (value as readonly (string | number)[]).map((item) =>
    texts ? string(String(item)) : Number.isInteger(item) ? u32(Number(item)) : f32(Number(item)),
  );
  const kind = texts ? 8 : value.every(Number.isInteger) ? 5 : 6;
  return Buffer.concat([u32(9), u32(kind), u64(items.length), ...items]);
}

/** A GGUF file of version 3 for tests; a tensor of type F32 may be given by its numbers. */
export function writeGguf(
  metadata: Readonly<Record<string, Meta>>,
  tensors: Readonly<Record<string, WrittenTensor>>,
): Buffer {
  const header = [Buffer.from("GGUF"), u32(3), u64(Object.keys(tensors).length), u64(Object.keys(metadata).length)];
  for (const [key, value] of Object.entries(metadata)) header.push(string(key), metaOf(value));
  const data: Buffer[] = [];
  let offset = 0;
  for (const [name, { shape, type, bytes }] of Object.entries(tensors)) {
    header.push(string(name), u32(shape.length), ...shape.toReversed().map(u64));
    header.push(u32(typeof type === "number" ? type : numbers[type]!), u64(offset));
    const rest = (32 - (bytes.length % 32)) % 32;
    data.push(Buffer.from(bytes), Buffer.alloc(rest));
    offset += bytes.length + rest;
  }
  const whole = Buffer.concat(header);
  return Buffer.concat([whole, Buffer.alloc((32 - (whole.length % 32)) % 32), ...data]);
}

/** A tensor of fp32. */
export const singles = (shape: readonly number[], values: ArrayLike<number>): WrittenTensor => ({
  shape,
  type: "F32",
  bytes: new Uint8Array(Float32Array.from(values).buffer),
});

/** Bytes of a tensor of this type. */
export const bytesOfType = (type: StoredType, values: number): number =>
  (values / blockTypes[type].values) * blockTypes[type].bytes;
