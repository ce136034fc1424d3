// public: referenceEngine
// internal: referenceVectors
import {
  type Activation,
  type Block,
  dequantise,
  type EncoderModel,
  type ExitHead,
  headSizeOf,
  longestInput,
  type Matrix,
  type Norm,
  unit,
} from "../../architectures/encoder.js";
import { checkBatch, type Engine } from "../engine.js";
import { ReferenceDecoder } from "./session.js";

/** Rows of numbers: [rows, columns], row-major. */
interface Rows {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array;
}

/**
 * The oracle: plain TypeScript in fp32 with sums in double precision, in the order of docs/models/bundle.md.
 * Slow, and it holds the event loop while it computes a text or a sequence; for tests and `verify` only.
 */
export function referenceEngine(): Engine {
  return {
    info: { kind: "reference", device: "TypeScript", dtype: "fp32" },
    async loadEncoder(model) {
      const longest = longestInput(model);
      return {
        exits: model.exits.map(({ layer }) => layer),
        hidden: model.hidden,
        async encode(batch, exit, signal) {
          checkBatch(batch, exit, model, longest);
          const texts = batch.offsets.length - 1;
          const vectors = new Float32Array(texts * model.hidden);
          for (let i = 0; i < texts; i++) {
            signal?.throwIfAborted();
            const ids = batch.ids.subarray(batch.offsets[i], batch.offsets[i + 1]);
            vectors.set(referenceVectors(model, ids, exit).get(exit)!, i * model.hidden);
          }
          return vectors;
        },
        async close() {},
      };
    },
    loadDecoder: async (model, cache) => new ReferenceDecoder(model, cache),
  };
}

/** The unit vectors of one input at every exit up to layer `last`. */
export function referenceVectors(
  model: EncoderModel,
  ids: Int32Array,
  last = model.blocks.length,
): Map<number, Float32Array> {
  const vectors = new Map<number, Float32Array>();
  let x = embed(model, ids);
  const start = model.bag && leaveAtOnce(model, ids);
  if (start) vectors.set(0, unit(start));
  for (let layer = 1; layer <= last; layer++) {
    x = runBlock(model, model.blocks[layer - 1]!, x);
    const head = model.exits.find((exit) => exit.layer === layer);
    if (head) vectors.set(layer, leave(model, head, x, start));
  }
  return vectors;
}

function embed({ embedding, positions, embeddingNorm, hidden }: EncoderModel, ids: Int32Array): Rows {
  const values = new Float32Array(ids.length * hidden);
  for (let t = 0; t < ids.length; t++)
    for (let i = 0; i < hidden; i++)
      values[t * hidden + i] = cell(embedding, ids[t]!, i) + (positions ? cell(positions, t, i) : 0);
  const x = { rows: ids.length, columns: hidden, values };
  return embeddingNorm ? normalise(embeddingNorm, x) : x;
}

const cell = ({ values, scale, columns }: Matrix, row: number, column: number): number =>
  values[row * columns + column]! * (scale?.[row] ?? 1);

/** Exit 0: the projected means of the tables' rows, not of unit length. */
function leaveAtOnce({ bag = [], exits }: EncoderModel, ids: Int32Array): Float32Array {
  const means = bag.flatMap((table) =>
    Array.from({ length: table.columns }, (_, column) => {
      let sum = 0;
      for (const id of ids) sum += cell(table, id, column);
      return sum / ids.length;
    }),
  );
  const pooled = { rows: 1, columns: means.length, values: Float32Array.from(means) };
  const head = exits.find(({ layer }) => layer === 0);
  return head?.projection ? multiply(pooled, head.projection).values : pooled.values;
}

function runBlock(model: EncoderModel, block: Block, x: Rows): Rows {
  const after = model.normPlace === "after";
  const normed = block.attentionNorm && !after ? normalise(block.attentionNorm, x) : x;
  const size = headSizeOf(model);
  const turned = (matrix: Matrix, norm: Norm | undefined): Rows => {
    const rows = multiply(normed, matrix);
    const heads = norm ? { ...rows, values: normaliseHeads(norm, rows, size) } : rows;
    return block.ropeTheta === undefined ? heads : rotate(block.ropeTheta, size, heads);
  };
  const heads = attention(model, block, {
    query: turned(block.query, block.queryNorm),
    key: turned(block.key, block.keyNorm),
    value: multiply(normed, block.value),
  });
  const sum = add(x, multiply(heads, block.output));
  const y = after && block.attentionNorm ? normalise(block.attentionNorm, sum) : sum;
  const input = after ? y : normalise(block.feedforwardNorm, y);
  const up = multiply(input, block.up);
  const gate = block.gate && multiply(input, block.gate);
  const bent = activations[block.activation];
  const inner = up.values.map((value, i) => (gate ? bent(gate.values[i]!) * value : bent(value)));
  const out = add(y, multiply({ ...up, values: inner }, block.down));
  return after ? normalise(block.feedforwardNorm, out) : out;
}

/** Each head's part of a row normed by itself. */
const normaliseHeads = (norm: Norm, { rows, columns, values }: Rows, size: number): Float32Array =>
  normalise(norm, { rows: (rows * columns) / size, columns: size, values }).values;

function leave(
  model: EncoderModel,
  { norm, projection, share }: ExitHead,
  x: Rows,
  start?: Float32Array,
): Float32Array {
  const normed = norm ? normalise(norm, x) : x;
  const pooled = new Float32Array(model.hidden);
  for (let i = 0; i < model.hidden; i++) {
    let sum = 0;
    for (let t = 0; t < x.rows; t++) sum += normed.values[t * model.hidden + i]!;
    const row = model.pooling === "first" ? 0 : x.rows - 1;
    pooled[i] = model.pooling === "mean" ? sum / x.rows : normed.values[row * model.hidden + i]!;
  }
  const own = projection ? multiply({ rows: 1, columns: model.hidden, values: pooled }, projection).values : pooled;
  const vector = share === undefined ? own : own.map((value, i) => value + share * start![i]!);
  return model.lengths === "kept" ? vector : unit(vector);
}

function normalise(norm: Norm, x: Rows): Rows {
  const values = new Float32Array(x.values.length);
  for (let t = 0; t < x.rows; t++) {
    const row = x.values.subarray(t * x.columns, (t + 1) * x.columns);
    const mean = norm.kind === "rms" ? 0 : row.reduce((sum, value) => sum + value, 0) / x.columns;
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.columns;
    const scale = 1 / Math.sqrt(variance + norm.epsilon);
    for (let i = 0; i < x.columns; i++)
      values[t * x.columns + i] = (row[i]! - mean) * scale * norm.weight[i]! + (norm.bias?.[i] ?? 0);
  }
  return { ...x, values };
}

const dequantised = new WeakMap<Matrix, Float32Array>();

/** x Wᵀ + bias */
function multiply(x: Rows, matrix: Matrix): Rows {
  const weights = dequantised.get(matrix) ?? dequantise(matrix);
  dequantised.set(matrix, weights);
  const { rows: outputs, columns: inputs } = matrix;
  const values = new Float32Array(x.rows * outputs);
  for (let t = 0; t < x.rows; t++)
    for (let o = 0; o < outputs; o++) {
      let sum = matrix.bias?.[o] ?? 0;
      for (let i = 0; i < inputs; i++) sum += x.values[t * inputs + i]! * weights[o * inputs + i]!;
      values[t * outputs + o] = sum;
    }
  return { rows: x.rows, columns: outputs, values };
}

/** Rotary position embedding, half-split: components j and j + s/2 of a head turn by position · θ^(−2j/s). */
function rotate(ropeTheta: number, size: number, x: Rows): Rows {
  const values = new Float32Array(x.values.length);
  for (let t = 0; t < x.rows; t++)
    for (let start = t * x.columns; start < (t + 1) * x.columns; start += size)
      for (let j = 0; j < size / 2; j++) {
        const angle = t * ropeTheta ** ((-2 * j) / size);
        const [a, b] = [x.values[start + j]!, x.values[start + j + size / 2]!];
        values[start + j] = a * Math.cos(angle) - b * Math.sin(angle);
        values[start + j + size / 2] = b * Math.cos(angle) + a * Math.sin(angle);
      }
  return { ...x, values };
}

/** softmax(q kᵀ / sqrt(s)) v for every head, over the tokens that each may see. */
function attention(
  model: EncoderModel,
  { reach = Number.POSITIVE_INFINITY }: Block,
  { query: q, key: k, value: v }: Readonly<Record<"query" | "key" | "value", Rows>>,
): Rows {
  const { heads, keyValueHeads, causal } = model;
  const size = headSizeOf(model);
  const width = size * heads;
  const values = new Float32Array(q.rows * width);
  for (let head = 0; head < heads; head++) {
    const from = head * size;
    const shared = Math.floor(head / (heads / keyValueHeads)) * size;
    for (let t = 0; t < q.rows; t++) {
      const scores = Float64Array.from({ length: k.rows }, (_, u) => {
        if (Math.abs(t - u) > reach || (causal && u > t)) return Number.NEGATIVE_INFINITY;
        let dot = 0;
        for (let i = 0; i < size; i++)
          dot += q.values[t * q.columns + from + i]! * k.values[u * k.columns + shared + i]!;
        return dot / Math.sqrt(size);
      });
      const most = scores.reduce((a, b) => Math.max(a, b));
      const weights = scores.map((score) => Math.exp(score - most));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (let i = 0; i < size; i++) {
        let sum = 0;
        for (let u = 0; u < v.rows; u++) sum += weights[u]! * v.values[u * v.columns + shared + i]!;
        values[t * width + from + i] = sum / total;
      }
    }
  }
  return { rows: q.rows, columns: width, values };
}

const add = (x: Rows, y: Rows): Rows => ({ ...x, values: x.values.map((value, i) => value + y.values[i]!) });

const activations: Readonly<Record<Activation, (z: number) => number>> = {
  silu: (z) => z / (1 + Math.exp(-z)),
  relu: (z) => Math.max(z, 0),
  gelu: (z) => 0.5 * z * (1 + erf(z / Math.SQRT2)),
  /** Hendrycks and Gimpel 2016. */
  "gelu-tanh": (z) => 0.5 * z * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3))),
};

/** The error function to 1e-15: its Taylor series up to 2.5, from there a continued fraction of its complement. */
function erf(x: number): number {
  const z = Math.abs(x);
  if (z > 6) return Math.sign(x);
  if (z < 2.5) {
    let [sum, term] = [x, x];
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= -(x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let k = 60; k > 0; k--) fraction = k / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / (z + fraction));
}
