// public: referenceEngine
// internal: referenceVectors
import {
  type Block,
  dequantise,
  type EncoderModel,
  type ExitHead,
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
  for (let layer = 1; layer <= last; layer++) {
    x = runBlock(model, model.blocks[layer - 1]!, x);
    const head = model.exits.find((exit) => exit.layer === layer);
    if (head) vectors.set(layer, leave(model, head, x));
  }
  return vectors;
}

function embed({ embedding, hidden }: EncoderModel, ids: Int32Array): Rows {
  const values = new Float32Array(ids.length * hidden);
  for (let t = 0; t < ids.length; t++)
    for (let i = 0; i < hidden; i++)
      values[t * hidden + i] = embedding.values[ids[t]! * hidden + i]! * (embedding.scale?.[ids[t]!] ?? 1);
  return { rows: ids.length, columns: hidden, values };
}

function runBlock(model: EncoderModel, block: Block, x: Rows): Rows {
  const normed = normalise(block.attentionNorm, x);
  const heads = attention(
    model,
    rotate(model, multiply(normed, block.query)),
    rotate(model, multiply(normed, block.key)),
    multiply(normed, block.value),
  );
  const y = add(x, multiply(heads, block.output));
  const input = normalise(block.feedforwardNorm, y);
  const up = multiply(input, block.up);
  const gate = block.gate && multiply(input, block.gate);
  const inner = up.values.map((value, i) => (gate ? silu(gate.values[i]!) * value : gelu(value)));
  return add(y, multiply({ ...up, values: inner }, block.down));
}

function leave(model: EncoderModel, { norm, projection }: ExitHead, x: Rows): Float32Array {
  const normed = norm ? normalise(norm, x) : x;
  const pooled = new Float32Array(model.hidden);
  for (let i = 0; i < model.hidden; i++) {
    let sum = 0;
    for (let t = 0; t < x.rows; t++) sum += normed.values[t * model.hidden + i]!;
    pooled[i] = model.pooling === "mean" ? sum / x.rows : normed.values[(x.rows - 1) * model.hidden + i]!;
  }
  return unit(multiply({ rows: 1, columns: model.hidden, values: pooled }, projection).values);
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
function rotate({ ropeTheta, hidden, heads }: EncoderModel, x: Rows): Rows {
  const size = hidden / heads;
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

/** softmax(q kᵀ / sqrt(s)) v for every head, over all tokens. */
function attention({ hidden, heads, keyValueHeads }: EncoderModel, q: Rows, k: Rows, v: Rows): Rows {
  const size = hidden / heads;
  const values = new Float32Array(q.rows * hidden);
  for (let head = 0; head < heads; head++) {
    const from = head * size;
    const shared = Math.floor(head / (heads / keyValueHeads)) * size;
    for (let t = 0; t < q.rows; t++) {
      const scores = Float64Array.from({ length: k.rows }, (_, u) => {
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
        values[t * hidden + from + i] = sum / total;
      }
    }
  }
  return { rows: q.rows, columns: hidden, values };
}

const add = (x: Rows, y: Rows): Rows => ({ ...x, values: x.values.map((value, i) => value + y.values[i]!) });

const silu = (z: number): number => z / (1 + Math.exp(-z));

/** The tanh form (Hendrycks and Gimpel 2016). */
const gelu = (z: number): number => 0.5 * z * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3)));
