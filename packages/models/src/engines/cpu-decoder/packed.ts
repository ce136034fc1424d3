// internal: Precision

import type { DecoderModel, FeedforwardModules, Routing } from "../../architectures/decoder.js";
import type { Matrix, Norm } from "../../architectures/encoder.js";
import { dequantise, quantise } from "../../architectures/encoder.js";
import type { CacheSize } from "../engine.js";
import { lane, panelRows } from "./kernels.js";

export type Precision = "int8" | "fp32";

export const padded = (components: number): number => Math.ceil(components / lane) * lane;

/** Where a matrix lies: addresses are bytes. Rows are padded too, so that a product writes whole padded vectors. */
export interface PackedMatrix {
  readonly float: boolean;
  readonly rows: number;
  readonly columns: number;
  readonly weights: number;
  /** [padded rows] fp32; ones for fp32 weights. */
  readonly scales: number;
  /** [padded rows] fp32 */
  readonly bias: number;
}

export interface PackedNorm {
  readonly weight: number;
  readonly bias: number;
  readonly epsilon: number;
}

export type PackedRouting =
  | { readonly kind: "none" }
  | { readonly kind: "learned"; readonly input: PackedMatrix; readonly output: PackedMatrix; readonly top: number }
  | { readonly kind: "average"; readonly gate: PackedMatrix; readonly top: number };

export interface PackedAttention {
  readonly norm: PackedNorm;
  readonly routing: PackedRouting;
  readonly query: readonly PackedMatrix[];
  readonly output: readonly PackedMatrix[];
  readonly keyValue?: { readonly key: PackedMatrix; readonly value: PackedMatrix };
  /** The cache: [blocks · blockTokens, padded size] each; one and the same where keys and values are the input. */
  readonly keys: number;
  readonly values: number;
}

export interface PackedFeedforward {
  readonly norm: PackedNorm;
  readonly routing: PackedRouting;
  readonly input: readonly PackedMatrix[];
  readonly output: readonly PackedMatrix[];
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
  /** Components of a module's query, key and value. */
  readonly size: number;
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

  norm({ weight, bias, epsilon }: Norm, hidden: number): PackedNorm {
    const length = padded(hidden);
    return {
      weight: this.floats(weight, length),
      bias: bias ? this.floats(bias, length) : this.take(4 * length),
      epsilon,
    };
  }

  /** `make` gives the weights when they are written. */
  matrix(
    { rows, columns, bias }: Pick<Matrix, "rows" | "columns" | "bias">,
    float: boolean,
    make: () => Matrix,
  ): PackedMatrix {
    const [outputs, inputs] = [padded(rows), padded(columns)];
    const weights = this.take(outputs * inputs * (float ? 4 : 1));
    const scales = this.take(4 * outputs);
    this.writes.push((memory) => {
      const matrix = make();
      if (float) {
        packPanels(new Float32Array(memory, weights, outputs * inputs), dequantise(matrix), rows, columns);
        new Float32Array(memory, scales, outputs).fill(1);
        return;
      }
      const whole = quantise(matrix);
      packPanels(new Int8Array(memory, weights, outputs * inputs), whole.values as Int8Array, rows, columns);
      new Float32Array(memory, scales, outputs).set(whole.scale!);
    });
    return {
      float,
      rows,
      columns,
      weights,
      scales,
      bias: bias ? this.floats(bias, outputs) : this.take(4 * outputs),
    };
  }
}

/** Panels of four rows; in a panel, one vector of each row in turn: 8 bytes, or 4 numbers of fp32. */
function packPanels<T extends Int8Array | Float32Array>(into: T, values: T, rows: number, columns: number): void {
  const vector = into instanceof Int8Array ? 8 : 4;
  const panel = panelRows * padded(columns);
  for (let row = 0; row < rows; row++) {
    const start = Math.floor(row / panelRows) * panel + (row % panelRows) * vector;
    for (let column = 0; column < columns; column += vector)
      into.set(
        values.subarray(row * columns + column, row * columns + Math.min(column + vector, columns)),
        start + column * panelRows,
      );
  }
}

/** One row of a packed matrix, dequantised, into `out`. */
export function unpackRow(
  memory: ArrayBufferLike,
  { float, columns, weights, scales }: PackedMatrix,
  row: number,
  out: Float32Array,
): void {
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
  const { hidden } = model;
  const float = precision === "fp32";
  const matrix = (source: Matrix): PackedMatrix => arena.matrix(source, float, () => source);
  const matrices = (sources: readonly Matrix[]): PackedMatrix[] => sources.map(matrix);
  const routing = (source: Routing, input: readonly Matrix[]): PackedRouting => {
    if (source.kind === "none") return source;
    if (source.kind === "learned") {
      const { router, top } = source;
      return { kind: "learned", input: matrix(router.input), output: matrix(router.output), top };
    }
    const gate = { rows: input.length, columns: hidden };
    return { kind: "average", gate: arena.matrix(gate, true, () => meanRows(input)), top: source.top };
  };

  const embedding = matrix(model.embedding);
  const head = model.head === model.embedding ? embedding : matrix(model.head);
  const size = model.layers[0]!.attention.query[0]!.rows;
  const places = cache.blocks * cache.blockTokens * padded(size) * 4;
  const layers = model.layers.map(({ attention, feedforward }) => {
    const { keyValue } = attention;
    const keys = arena.take(places);
    return {
      attention: {
        norm: arena.norm(attention.norm, hidden),
        routing: routing(attention.routing, attention.query),
        query: matrices(attention.query),
        output: matrices(attention.output),
        ...(keyValue && { keyValue: { key: matrix(keyValue.key), value: matrix(keyValue.value) } }),
        keys,
        values: keyValue ? arena.take(places) : keys,
      },
      feedforward: {
        norm: arena.norm(feedforward.norm, hidden),
        routing: routing(feedforward.routing, feedforward.input),
        input: matrices(feedforward.input),
        output: matrices(feedforward.output),
      },
    };
  });
  const norm = arena.norm(model.norm, hidden);
  const scratch = scratchOf(model, cache);
  const packed: PackedModel = {
    precision,
    hidden,
    heads: model.heads,
    size,
    attendsCurrent: model.attendsCurrent,
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

function scratchOf(model: DecoderModel, cache: CacheSize): Scratch {
  const arena = new Arena();
  const tops = (source: Routing): number => (source.kind === "none" ? 1 : source.top);
  const most = (of: (layer: DecoderModel["layers"][number]) => number): number => Math.max(...model.layers.map(of));
  /** Components of all modules of one token. */
  const wide = ({ routing, input }: FeedforwardModules): number => tops(routing) * padded(input[0]!.rows);
  const found = most(({ attention }) => tops(attention.routing) * padded(attention.query[0]!.rows));
  const inner = Math.max(
    found,
    most(({ feedforward }) => wide(feedforward)),
  );
  const gate = most((layer) =>
    Math.max(
      ...[layer.attention, layer.feedforward].map(({ routing }) =>
        routing.kind === "learned" ? padded(routing.router.input.rows) : 0,
      ),
    ),
  );
  const modules = most(({ attention, feedforward }) => Math.max(attention.query.length, feedforward.input.length));
  const pairs =
    passTokens * most(({ attention, feedforward }) => Math.max(tops(attention.routing), tops(feedforward.routing)));
  const vocabulary = padded(model.head.rows);
  const hidden = padded(model.hidden);
  const at = {
    trunk: arena.take(4 * passTokens * hidden),
    normed: arena.take(4 * passTokens * hidden),
    quantised: arena.take(2 * passTokens * Math.max(hidden, gate, inner)),
    gate: arena.take(4 * passTokens * gate),
    router: arena.take(4 * passTokens * padded(modules)),
    inner: arena.take(4 * passTokens * inner),
    found: arena.take(4 * passTokens * found),
    inputs: arena.take(4 * pairs),
    inputScales: arena.take(4 * pairs),
    outputs: arena.take(4 * pairs),
    table: arena.take(4 * Math.ceil(model.context / cache.blockTokens)),
    scores: arena.take(4 * padded(cache.blockTokens)),
    logits: arena.take(4 * logitTokens * vocabulary),
    powers: arena.take(4 * vocabulary),
  };
  return { tokens: passTokens, logitTokens, at, bytes: arena.bytes };
}

/** The mean row of each matrix: the gate of emergent experts (avg-k). */
function meanRows(matrices: readonly Matrix[]): Matrix {
  const columns = matrices[0]!.columns;
  const values = new Float32Array(matrices.length * columns);
  for (const [m, matrix] of matrices.entries()) {
    const rows = dequantise(matrix);
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let row = 0; row < matrix.rows; row++) sum += rows[row * columns + column]!;
      values[m * columns + column] = sum / matrix.rows;
    }
  }
  return { rows: matrices.length, columns, values };
}
