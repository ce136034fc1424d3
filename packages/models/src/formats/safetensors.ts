// internal: Tensor, writeSafetensors
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";

/** Row-major values with their shape. `F16` and `BF16` are widened to fp32 on reading. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly values: Int8Array | Float32Array;
}

type Stored = "I8" | "F32" | "F16" | "BF16";
const bytesOf: Record<Stored, number> = { I8: 1, F32: 4, F16: 2, BF16: 2 };

/** Whole numbers, which published files hold as buffers (positions, masks); no model reads them, so they are left out. */
const buffers = { I64: 8, I32: 4, I16: 2, U8: 1, BOOL: 1 } as const;
const known: Readonly<Record<string, number>> = { ...bytesOf, ...buffers };

/** The largest header that is read, in bytes; the format's own limit. */
const largestHeader = 100_000_000;

/** A tensor of a file's header; bytes are those of the file. */
interface SafetensorsEntry {
  readonly dtype: Stored;
  readonly shape: readonly number[];
  readonly from: number;
}

/**
 * The tensors of one safetensors file, as views of `bytes` where alignment and type allow.
 * @throws TesseraError BAD_BUNDLE, with `path` and the tensor as the place.
 */
export function readSafetensors(bytes: Uint8Array, path: string): Map<string, Tensor> {
  const length = headerLength(bytes, bytes.length, path);
  const tensors = new Map<string, Tensor>();
  for (const [name, { dtype, shape, from }] of readEntries(bytes.subarray(8, 8 + length), bytes.length, path))
    tensors.set(name, { shape, values: valuesOf(bytes, from, countOf(shape), dtype) });
  return tensors;
}

/** The bytes of the header behind the first eight, which hold it; `size` is the file's. @throws TesseraError BAD_BUNDLE */
export function headerLength(first: Uint8Array, size: number, path: string): number {
  if (size < 8) throw new TesseraError("BAD_BUNDLE", "a safetensors file has at least 8 bytes", { path });
  const length = new DataView(first.buffer, first.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(Math.min(largestHeader, size - 8)))
    throw new TesseraError("BAD_BUNDLE", `the header is said to have ${length} bytes, the file has ${size}`, { path });
  return Number(length);
}

/** What a header says of a file of `size` bytes. @throws TesseraError BAD_BUNDLE */
export function readEntries(header: Uint8Array, size: number, path: string): Map<string, SafetensorsEntry> {
  const bad = (message: string, tensor?: string, cause?: unknown): TesseraError =>
    new TesseraError("BAD_BUNDLE", message, { path: tensor === undefined ? path : `${path}#${tensor}`, cause });
  const start = 8 + header.length;
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(header.slice()).toString("utf8"));
  } catch (cause) {
    throw bad(`the header is not JSON: ${messageOf(cause)}`, undefined, cause);
  }
  if (typeof document !== "object" || document === null || Array.isArray(document))
    throw bad("the header is no object");

  const entries = new Map<string, SafetensorsEntry>();
  const spans: [from: number, to: number][] = [];
  for (const [name, entry] of Object.entries(document)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets: span } = (entry ?? {}) as Record<string, unknown>;
    if (typeof dtype !== "string" || !Object.hasOwn(known, dtype)) throw bad(`type ${dtype} is not read`, name);
    if (!isNaturals(shape)) throw bad("the shape is not a list of whole numbers", name);
    if (!isNaturals(span) || span.length !== 2) throw bad("data_offsets is not a pair of whole numbers", name);
    const [from, to] = span as [number, number];
    if (to - from !== countOf(shape) * known[dtype]!)
      throw bad(`${dtype} [${shape}] does not fit ${to - from} bytes`, name);
    if (start + to > size)
      throw bad(`the tensor ends at byte ${start + to}, the file at ${size}: it is cut short`, name);
    spans.push([from, to]);
    if (!Object.hasOwn(buffers, dtype)) entries.set(name, { dtype: dtype as Stored, shape, from: start + from });
  }
  let end = 0;
  for (const [from, to] of spans.sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
    if (from !== end) throw bad(from < end ? "tensors overlap" : "there are bytes between tensors");
    end = to;
  }
  if (start + end !== size) throw bad(`${size - start - end} bytes follow the last tensor`);
  return entries;
}

const countOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Writes `I8` and `F32` tensors, in the order of the map, aligned to 8 bytes where the header ends. */
export function writeSafetensors(tensors: ReadonlyMap<string, Tensor>): Uint8Array {
  const header: Record<string, object> = {};
  let offset = 0;
  for (const [name, { shape, values }] of tensors) {
    const dtype = values instanceof Int8Array ? "I8" : "F32";
    header[name] = { dtype, shape, data_offsets: [offset, offset + values.byteLength] };
    offset += values.byteLength;
  }
  const json = Buffer.from(JSON.stringify(header), "utf8");
  const padding = (8 - (json.length % 8)) % 8;
  const bytes = new Uint8Array(8 + json.length + padding + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length + padding), true);
  bytes.set(json, 8);
  bytes.fill(0x20, 8 + json.length, 8 + json.length + padding);
  let at = 8 + json.length + padding;
  for (const { values } of tensors.values()) {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    at += values.byteLength;
  }
  return bytes;
}

/** One file, or as many as it takes with an index; `largest` is in bytes, the header included. */
export function writeShards(tensors: ReadonlyMap<string, Tensor>, largest: number): Map<string, Uint8Array> {
  const whole = writeSafetensors(tensors);
  if (whole.length <= largest) return new Map([["model.safetensors", whole]]);
  const groups: Map<string, Tensor>[] = [new Map()];
  for (const [name, tensor] of tensors) {
    const group = groups.at(-1)!;
    group.set(name, tensor);
    if (writeSafetensors(group).length <= largest || group.size === 1) continue;
    group.delete(name);
    groups.push(new Map([[name, tensor]]));
  }
  const number = (i: number): string => String(i).padStart(5, "0");
  const files = new Map<string, Uint8Array>();
  const weightMap: Record<string, string> = {};
  for (const [i, group] of groups.entries()) {
    const file = `model-${number(i + 1)}-of-${number(groups.length)}.safetensors`;
    files.set(file, writeSafetensors(group));
    for (const name of group.keys()) weightMap[name] = file;
  }
  const total = [...tensors.values()].reduce((sum, { values }) => sum + values.byteLength, 0);
  const index = JSON.stringify({ metadata: { total_size: total }, weight_map: weightMap });
  return files.set("model.safetensors.index.json", Buffer.from(index));
}

const isNaturals = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);

function valuesOf(bytes: Uint8Array, from: number, count: number, dtype: Stored): Int8Array | Float32Array {
  const at = bytes.byteOffset + from;
  if (dtype === "I8") return new Int8Array(bytes.buffer, at, count);
  if (dtype === "F32") {
    if (at % 4 === 0) return new Float32Array(bytes.buffer, at, count);
    return new Float32Array(bytes.slice(from, from + 4 * count).buffer);
  }
  const values = new Float32Array(new SharedArrayBuffer(4 * count));
  const view = new DataView(bytes.buffer, at, 2 * count);
  if (dtype === "BF16") {
    const words = new Uint32Array(values.buffer);
    for (let i = 0; i < count; i++) words[i] = view.getUint16(2 * i, true) << 16;
  } else for (let i = 0; i < count; i++) values[i] = halfToSingle(view.getUint16(2 * i, true));
  return values;
}

/** IEEE 754 binary16 to a number. */
function halfToSingle(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
