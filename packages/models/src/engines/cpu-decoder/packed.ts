// internal: Precision

import type {
  AttentionModules,
  DecoderModel,
  FeedforwardModules,
  Multipliers,
  Rotary,
  Routing,
  SoftmaxAttention,
  Weight,
} from "../../architectures/decoder.js";
import type { Matrix, Norm } from "../../architectures/encoder.js";
import { dequantise, quantise } from "../../architectures/encoder.js";
import { eachRows, loaded } from "../../formats/stored-rows.js";
import type { CacheSize } from "../engine.js";
import { blockPanelRows, lane, panelRows } from "./kernel-parts.js";

export type Precision = "int8" | "fp32";

export const padded = (components: number): number => Math.ceil(components / lane) * lane;

/** Where a matrix lies: addresses are bytes. Rows are padded too, so that a product writes whole padded vectors. */
export interface PackedMatrix {
  /**
   * "float": fp32. "rows": int8 with a scale a row, as our bundles store it. "blocks": int8 with a scale and a middle for
   * every 32 columns of a row (16, where 32 do not divide them), for weights that a file has in another type: a scale a row
   * loses 1 % of the perplexity of SmolLM2, and blocks hold most types of GGUF as they are.
   */
  readonly kind: "float" | "rows" | "blocks";
  readonly rows: number;
  readonly columns: number;
  readonly weights: number;
  /** fp32: [padded rows], ones for fp32 weights; of blocks [panels, blocks, 2, 16]: scales, then middles. */
  readonly scales: number;
  /** [padded rows] fp32 */
  readonly bias: number;
}

export interface PackedNorm {
  readonly kind: Norm["kind"];
  readonly weight: number;
  readonly bias: number;
  readonly epsilon: number;
  /** Components that are normed together. */
  readonly width: number;
}

export type PackedRouting =
  | { readonly kind: "none" }
  | {
      readonly kind: "learned";
      readonly input: PackedMatrix | undefined;
      readonly output: PackedMatrix;
      readonly top: number;
      readonly over: "all" | "chosen";
    }
  | { readonly kind: "average"; readonly gate: PackedMatrix; readonly top: number };

export interface PackedAttention {
  readonly norm: PackedNorm;
  readonly routing: PackedRouting;
  readonly query: readonly PackedMatrix[];
  readonly output: readonly PackedMatrix[];
  readonly keyValue?: { readonly key: PackedMatrix; readonly value: PackedMatrix };
  readonly softmax?: PackedSoftmax | undefined;
  /** [padded hidden], added once a token; 0 where there is none. */
  readonly bias: number;
  /** The cache: [blocks · blockTokens, padded size of keys] each; one and the same where keys and values are the input. */
  readonly keys: number;
  readonly values: number;
}

export interface PackedSoftmax {
  readonly keyValueHeads: number;
  readonly scale: number;
  readonly rotary: Rotary | undefined;
  readonly queryNorm: PackedNorm | undefined;
  readonly keyNorm: PackedNorm | undefined;
}

export interface PackedFeedforward {
  readonly norm: PackedNorm;
  readonly routing: PackedRouting;
  readonly input: readonly PackedMatrix[];
  readonly gate: readonly PackedMatrix[] | undefined;
  readonly output: readonly PackedMatrix[];
  readonly shared: PackedShared | undefined;
  /** As of attention. */
  readonly bias: number;
}

/** A part that runs for every token. */
export interface PackedShared {
  readonly input: PackedMatrix;
  readonly gate: PackedMatrix;
  readonly output: PackedMatrix;
  readonly weight: PackedMatrix | undefined;
}

/** Room that one thread works in; addresses are from the beginning of its scratch. */
export interface Scratch {
  /** Tokens that are computed together. */
  readonly tokens: number;
  /** Tokens whose logits are computed together. */
  readonly logitTokens: number;
  readonly at: Readonly<
    Record<
      | "trunk"
      | "normed"
      | "quantised"
      | "gate"
      | "router"
      | "inner"
      | "gates"
      | "angles"
      | "found"
      | "inputs"
      | "inputScales"
      | "outputs"
      | "table"
      | "scores"
      | "logits"
      | "powers",
      number
    >
  >;
  readonly bytes: number;
}

/** A decoder and its cache as addresses of one shared memory: plain data, the same for every thread. */
export interface PackedModel {
  readonly precision: Precision;
  readonly hidden: number;
  readonly heads: number;
  /** Components of a module's query. */
  readonly size: number;
  /** Components of a key and of a value. */
  readonly keySize: number;
  readonly multipliers: Multipliers;
  /** Whether weights are of kind "blocks": all of them are, or none but small ones in fp32. */
  readonly hasBlocks: boolean;
  readonly attendsCurrent: boolean;
  readonly blockTokens: number;
  readonly embedding: PackedMatrix;
  readonly head: PackedMatrix;
  readonly norm: PackedNorm;
  readonly layers: readonly { readonly attention: PackedAttention; readonly feedforward: PackedFeedforward }[];
  readonly scratch: Scratch;
  /** Where the scratch of each thread begins. */
  readonly threads: readonly number[];
  readonly bytes: number;
}

/** Gives out addresses, and remembers what is to be written there. */
class Arena {
  bytes = 64; // no address is 0
  readonly writes: ((memory: ArrayBufferLike) => void)[] = [];

  take(bytes: number): number {
    const address = this.bytes;
    this.bytes += Math.ceil(bytes / 64) * 64;
    return address;
  }

  floats(values: Float32Array, length: number): number {
    const address = this.take(4 * length);
    this.writes.push((memory) => new Float32Array(memory, address, length).set(values));
    return address;
  }

  norm({ kind, weight, bias, epsilon }: Norm): PackedNorm {
    const length = padded(weight.length);
    return {
      kind,
      weight: this.floats(weight, length),
      bias: bias ? this.floats(bias, length) : this.take(4 * length),
      epsilon,
      width: weight.length,
    };
  }

  /** `make` gives the weights when they are written. */
  matrix(
    { rows, columns, bias }: Pick<Matrix, "rows" | "columns" | "bias">,
    kind: PackedMatrix["kind"],
    make: () => Weight,
  ): PackedMatrix {
    const [outputs, inputs] = [padded(rows), padded(columns)];
    const weights = this.take(outputs * inputs * (kind === "float" ? 4 : 1));
    const count = kind === "blocks" ? (2 * outputs * inputs) / blockOf(columns) : outputs;
    const scales = this.take(4 * count);
    this.writes.push((memory) => {
      const into =
        kind === "float"
          ? new Float32Array(memory, weights, outputs * inputs)
          : new Int8Array(memory, weights, outputs * inputs);
      writeRows(make(), kind, into, new Float32Array(memory, scales, count));
    });
    return {
      kind,
      rows,
      columns,
      weights,
      scales,
      bias: bias ? this.floats(bias, outputs) : this.take(4 * outputs),
    };
  }
}

/** Columns of a block. */
export const blockOf = (columns: number): 16 | 32 => (padded(columns) % 32 === 0 ? 32 : 16);

/** Packs a matrix; one that lies in a file is read, quantised and packed some rows at a time. */
function writeRows(
  weight: Weight,
  kind: PackedMatrix["kind"],
  into: Int8Array | Float32Array,
  scales: Float32Array,
): void {
  const pack = (matrix: Matrix, first: number): void => {
    if (kind === "float") return packPanels(into as Float32Array, dequantise(matrix), first, matrix);
    if (kind === "blocks") return packBlocks(into as Int8Array, scales, first, matrix);
    const { values, scale } = quantise(matrix);
    packPanels(into, values as Int8Array, first, matrix);
    scales.set(scale!, first);
  };
  if (kind === "float") scales.fill(1);
  if (!("stored" in weight)) return pack(weight, 0);
  const { stored, rows, columns } = weight;
  eachRows(stored, rows, columns, (first, values) => pack({ rows: values.length / columns, columns, values }, first));
}

/** Rows as `multiplyBlocks…` takes them. */
function packBlocks(
  into: Int8Array,
  scales: Float32Array,
  first: number,
  { rows, columns, values }: Pick<Matrix, "rows" | "columns" | "values">,
): void {
  const block = blockOf(columns);
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
export function unpackRow(memory: ArrayBufferLike, matrix: PackedMatrix, row: number, out: Float32Array): void {
  if (matrix.kind === "blocks") return unpackBlocks(memory, matrix, row, out);
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
  { columns, weights, scales }: PackedMatrix,
  row: number,
  out: Float32Array,
): void {
  const block = blockOf(columns);
  const blocks = padded(columns) / block;
  const [panel, within] = [Math.floor(row / blockPanelRows), row % blockPanelRows];
  const bytes = new Int8Array(
    memory,
    weights + panel * blockPanelRows * padded(columns),
    blockPanelRows * padded(columns),
  );
  const count = 2 * blockPanelRows;
  const rates = new Float32Array(memory, scales + 4 * panel * blocks * count, blocks * count);
  for (let column = 0; column < columns; column++) {
    const b = Math.floor(column / block);
    const place = column % block;
    const at = b * blockPanelRows * block + 32 * (place >> 1) + 8 * (within >> 2) + 2 * (within & 3) + (place & 1);
    out[column] = bytes[at]! * rates[b * count + within]! + rates[b * count + blockPanelRows + within]!;
  }
}

/** Tokens that are computed together: enough to read a panel of weights from the cache, few enough to stay in it. */
const passTokens = 32;
const logitTokens = 8;

/** Lays a model out for `threads` threads; `write` fills the memory, once. */
export function plan(
  model: DecoderModel,
  cache: CacheSize,
  precision: Precision,
  threads: number,
): { readonly packed: PackedModel; write(memory: ArrayBufferLike): void } {
  const arena = new Arena();
  const packer = new Packer(arena, precision === "fp32", model.hidden);
  const embedding = packer.matrix(model.embedding);
  const head = model.head === model.embedding ? embedding : packer.matrix(model.head);
  const { size, keySize } = sizesOf(model);
  const places = cache.blocks * cache.blockTokens * padded(keySize) * 4;
  const layers = model.layers.map(({ attention, feedforward }) => {
    const keys = arena.take(places);
    const values = attention.keyValue ? arena.take(places) : keys;
    return {
      attention: { ...packer.attention(attention), keys, values },
      feedforward: packer.feedforward(feedforward),
    };
  });
  const norm = arena.norm(model.norm);
  const scratch = scratchOf(model, cache);
  const packed: PackedModel = {
    precision,
    hidden: model.hidden,
    heads: model.heads,
    size,
    keySize,
    multipliers: model.multipliers ?? { embedding: 1, residual: 1, logits: 1 },
    attendsCurrent: model.attendsCurrent,
    hasBlocks: embedding.kind === "blocks",
    blockTokens: cache.blockTokens,
    embedding,
    head,
    norm,
    layers,
    scratch,
    threads: Array.from({ length: threads }, () => arena.take(scratch.bytes)),
    bytes: arena.bytes,
  };
  return {
    packed,
    write(memory) {
      for (const write of arena.writes) write(memory);
    },
  };
}

/** Components of a query, and of a key: those of the input where keys and values are the input itself. */
function sizesOf({ layers }: DecoderModel): { size: number; keySize: number } {
  const { query, keyValue } = layers[0]!.attention;
  return { size: query[0]!.rows, keySize: keyValue?.key.rows ?? query[0]!.rows };
}

/** Bytes of the cache of one token. */
export const cacheBytes = (model: DecoderModel): number =>
  model.layers.reduce((sum, { attention }) => sum + (attention.keyValue ? 8 : 4) * padded(sizesOf(model).keySize), 0);

/** Lays out the parts of layers. */
class Packer {
  constructor(
    private readonly arena: Arena,
    private readonly float: boolean,
    private readonly hidden: number,
  ) {}

  matrix(source: Weight): PackedMatrix {
    const kind = this.float ? "float" : "stored" in source ? "blocks" : "rows";
    return this.arena.matrix(source, kind, () => source);
  }

  private matrices(sources: readonly Weight[]): PackedMatrix[] {
    return sources.map((source) => this.matrix(source));
  }

  private bias(values: Float32Array | undefined): number {
    return values ? this.arena.floats(values, padded(this.hidden)) : 0;
  }

  private routing(source: Routing, input: readonly Weight[]): PackedRouting {
    if (source.kind === "none") return source;
    if (source.kind === "learned") {
      const { router, top, over = "all" } = source;
      // a router without a layer between decides by small differences: its weights stay as they are
      const output = router.input
        ? this.matrix(router.output)
        : this.arena.matrix(router.output, "float", () => router.output);
      return { kind: "learned", input: router.input && this.matrix(router.input), output, top, over };
    }
    const gate = { rows: input.length, columns: this.hidden };
    return { kind: "average", gate: this.arena.matrix(gate, "float", () => meanRows(input)), top: source.top };
  }

  attention(part: AttentionModules): Omit<PackedAttention, "keys" | "values"> {
    const { keyValue } = part;
    return {
      norm: this.arena.norm(part.norm),
      routing: this.routing(part.routing, part.query),
      query: this.matrices(part.query),
      output: this.matrices(part.output),
      ...(keyValue && { keyValue: { key: this.matrix(keyValue.key), value: this.matrix(keyValue.value) } }),
      softmax: part.softmax && this.softmax(part.softmax),
      bias: this.bias(part.bias),
    };
  }

  private softmax({ keyValueHeads, scale, rotary, queryNorm, keyNorm }: SoftmaxAttention): PackedSoftmax {
    return {
      keyValueHeads,
      scale,
      rotary,
      queryNorm: queryNorm && this.arena.norm(queryNorm),
      keyNorm: keyNorm && this.arena.norm(keyNorm),
    };
  }

  feedforward({ norm, routing, input, gate, output, shared, bias }: FeedforwardModules): PackedFeedforward {
    return {
      norm: this.arena.norm(norm),
      routing: this.routing(routing, input),
      input: this.matrices(input),
      gate: gate && this.matrices(gate),
      output: this.matrices(output),
      shared: shared && {
        input: this.matrix(shared.input),
        gate: this.matrix(shared.gate),
        output: this.matrix(shared.output),
        weight: shared.weight && this.matrix(shared.weight),
      },
      bias: this.bias(bias),
    };
  }
}

function scratchOf(model: DecoderModel, cache: CacheSize): Scratch {
  const arena = new Arena();
  const tops = (source: Routing): number => (source.kind === "none" ? 1 : source.top);
  const most = (of: (layer: DecoderModel["layers"][number]) => number): number => Math.max(...model.layers.map(of));
  /** Components of all modules of one token. */
  const wide = ({ routing, input, shared }: FeedforwardModules): number =>
    Math.max(tops(routing) * padded(input[0]!.rows), shared ? padded(shared.input.rows) : 0);
  const found = most(({ attention }) => tops(attention.routing) * padded(attention.query[0]!.rows));
  const wides = most(({ feedforward }) => wide(feedforward));
  const inner = Math.max(found, wides);
  const gates = model.layers.some(({ feedforward }) => feedforward.gate) ? wides : 0;
  const gate = most((layer) =>
    Math.max(
      ...[layer.attention, layer.feedforward].map(({ routing }) =>
        routing.kind === "learned" ? padded(routing.router.input?.rows ?? 0) : 0,
      ),
    ),
  );
  const modules = most(({ attention, feedforward }) => Math.max(attention.query.length, feedforward.input.length));
  const pairs =
    passTokens * most(({ attention, feedforward }) => Math.max(tops(attention.routing), tops(feedforward.routing)));
  const vocabulary = padded(model.head.rows);
  const hidden = padded(model.hidden);
  const blocks = Math.ceil(model.context / cache.blockTokens);
  const softmax = model.layers.some(({ attention }) => attention.softmax);
  const turned = most(({ attention }) => attention.softmax?.rotary?.frequencies.length ?? 0);
  const at = {
    trunk: arena.take(4 * passTokens * hidden),
    normed: arena.take(4 * passTokens * hidden),
    // numbers of 16 bits, and behind them the sum of every 16 of them
    quantised: arena.take(2.25 * passTokens * Math.max(hidden, gate, inner)),
    gate: arena.take(4 * passTokens * gate),
    router: arena.take(4 * passTokens * padded(modules)),
    inner: arena.take(4 * passTokens * inner),
    gates: arena.take(4 * passTokens * gates),
    found: arena.take(4 * passTokens * found),
    angles: arena.take(4 * passTokens * 2 * turned),
    inputs: arena.take(4 * pairs),
    inputScales: arena.take(4 * pairs),
    outputs: arena.take(4 * pairs),
    table: arena.take(4 * blocks),
    scores: arena.take(4 * padded(cache.blockTokens) * (softmax ? blocks : 1)),
    logits: arena.take(4 * logitTokens * vocabulary),
    powers: arena.take(4 * vocabulary),
  };
  return { tokens: passTokens, logitTokens, at, bytes: arena.bytes };
}

/** The mean row of each matrix: the gate of emergent experts (avg-k). */
function meanRows(matrices: readonly Weight[]): Matrix {
  const columns = matrices[0]!.columns;
  const values = new Float32Array(matrices.length * columns);
  for (const [m, matrix] of matrices.entries()) {
    const rows = dequantise(loaded(matrix));
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let row = 0; row < matrix.rows; row++) sum += rows[row * columns + column]!;
      values[m * columns + column] = sum / matrix.rows;
    }
  }
  return { rows: matrices.length, columns, values };
}
