// internal: Matrix, Norm, EncoderModel, unit
import type { Encoder } from "@tessera/core";

/** y = x Wᵀ + bias, with W of `rows` × `columns` (out × in); int8 values have one scale a row. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Int8Array | Float32Array;
  /** [rows], with int8 values only. */
  readonly scale?: Float32Array | undefined;
  /** [rows] */
  readonly bias?: Float32Array | undefined;
}

/** "rms": w ⊙ x / sqrt(mean(x²) + ε). "layer": w ⊙ (x − mean) / sqrt(var + ε) + bias. */
export interface Norm {
  readonly kind: "rms" | "layer";
  readonly epsilon: number;
  readonly weight: Float32Array;
  readonly bias?: Float32Array | undefined;
}

/** "gelu" is the exact one, z (1 + erf(z / √2)) / 2; "gelu-tanh" its tanh form; "silu" z / (1 + e^−z); "relu" max(z, 0). */
export type Activation = "silu" | "gelu" | "gelu-tanh" | "relu";

/**
 * One layer. Norm before: y = x + attention(norm(x)), then y + feedforward(norm(y)). Norm after: y = norm(x + attention(x)),
 * then norm(y + feedforward(y)).
 */
export interface Block {
  /** Absent where the states enter as they are. */
  readonly attentionNorm?: Norm | undefined;
  readonly query: Matrix;
  /** Keys and values may have fewer heads than queries; each then serves several query heads in turn. */
  readonly key: Matrix;
  readonly value: Matrix;
  readonly output: Matrix;
  /** Norms of each head of queries and keys, before they are turned. */
  readonly queryNorm?: Norm | undefined;
  readonly keyNorm?: Norm | undefined;
  /** Rotary position embedding, half-split, over the whole head. Absent: queries and keys are not turned. */
  readonly ropeTheta?: number | undefined;
  /** How many places before and after its own a token attends to; absent: all. */
  readonly reach?: number | undefined;
  readonly feedforwardNorm: Norm;
  /** With a gate: down(activation(gate(x)) ⊙ up(x)). Without: down(activation(up(x))). */
  readonly gate?: Matrix | undefined;
  readonly up: Matrix;
  readonly down: Matrix;
  readonly activation: Activation;
}

/**
 * An embedding after `layer` blocks: projection(pool(norm(x))) + share · e₀, then unit length. Exit 0 runs no layer: e₀ is
 * the projection of the means, over all tokens, of their rows in each of the model's `bag` tables, one after another.
 */
export interface ExitHead {
  readonly layer: number;
  readonly norm?: Norm | undefined;
  /** Absent: the pooled vector is the embedding. */
  readonly projection?: Matrix | undefined;
  /** How much of exit 0's vector, which is not of unit length here, is added. */
  readonly share?: number | undefined;
}

export type Kind = Parameters<Encoder["encode"]>[1]["kind"];
export const kinds = ["query", "code", "text"] as const satisfies readonly Kind[];

/** What surrounds the tokens of a text: ids, or text that the tokenizer turns into ids. */
export interface Frame {
  /** Put before the text itself, so that the tokenizer reads both as one. */
  readonly prompt?: string | undefined;
  readonly before: readonly (number | string)[];
  readonly after: readonly (number | string)[];
  /** The longest input in tokens, with the frame; a longer text loses its end. */
  readonly maxTokens: number;
}

/** A multi-exit bidirectional encoder, whatever file it came from. Plain data: it can be sent to a worker thread. */
export interface EncoderModel {
  readonly name: string;
  readonly revision: string;
  readonly architecture: string;
  readonly hidden: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  /** Components of a head. Default: hidden / heads. */
  readonly headSize?: number | undefined;
  readonly normPlace: "before" | "after";
  /** Whether a token attends to those before it only. */
  readonly causal?: boolean | undefined;
  readonly pooling: "mean" | "first" | "last";
  /** "kept" where a vector is what the exit gives; else it is brought to unit length. */
  readonly lengths?: "kept" | undefined;
  /** vocabulary × hidden */
  readonly embedding: Matrix;
  /** Learned positions, the longest input × hidden, added to the rows of the embedding. */
  readonly positions?: Matrix | undefined;
  readonly embeddingNorm?: Norm | undefined;
  /** The tables of exit 0, vocabulary × any width each. */
  readonly bag?: readonly Matrix[] | undefined;
  readonly blocks: readonly Block[];
  /** Rising; the last is after the last block. */
  readonly exits: readonly ExitHead[];
  /** Rising prefixes of the vector that are embeddings of their own; the last is the whole. */
  readonly widths: readonly number[];
  readonly frames: Readonly<Record<Kind, Frame>>;
  /** Which index exits a query exit may search, at equal widths; an exit always searches itself. */
  readonly pairs: readonly { readonly query: number; readonly index: number }[];
  readonly default: { readonly query: number; readonly index: number };
}

/** The exits of a model that has only these, each permitted on each other's index. */
export const pairsOf = (layers: readonly number[]): EncoderModel["pairs"] =>
  layers.flatMap((query) => layers.map((index) => ({ query, index })));

/** Components of one head of queries. */
export const headSizeOf = ({ headSize, hidden, heads }: EncoderModel): number => headSize ?? hidden / heads;

/** The longest input of any kind, in tokens. */
export const longestInput = (model: EncoderModel): number =>
  Math.max(...kinds.map((kind) => model.frames[kind].maxTokens));

/** W in fp32, without its bias. */
export function dequantise({ values, scale, rows, columns }: Matrix): Float32Array {
  if (values instanceof Float32Array) return values;
  const weights = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let i = row * columns; i < (row + 1) * columns; i++) weights[i] = values[i]! * scale![row]!;
  return weights;
}

/** W x + bias, with the weights in fp32 and the sums in fp64. */
export function applied(
  { rows, columns, bias }: Pick<Matrix, "rows" | "columns" | "bias">,
  values: ArrayLike<number>,
  x: ArrayLike<number>,
): Float64Array {
  const y = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    let sum = bias?.[row] ?? 0;
    for (let i = 0; i < columns; i++) sum += values[row * columns + i]! * x[i]!;
    y[row] = sum;
  }
  return y;
}

/** Int8 rows with one scale each: q = round(w / scale), scale = max|w| / 127. */
export function quantise(matrix: Matrix): Matrix {
  if (matrix.values instanceof Int8Array) return matrix;
  const { rows, columns } = matrix;
  const values = new Int8Array(rows * columns);
  const scale = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    let most = 0;
    for (let i = row * columns; i < (row + 1) * columns; i++) most = Math.max(most, Math.abs(matrix.values[i]!));
    // a row below the normal numbers counts as zero
    scale[row] = most < 2 ** -119 ? 1 : most / 127;
    for (let i = row * columns; i < (row + 1) * columns; i++)
      values[i] = Math.max(-127, Math.min(127, roundHalfEven(matrix.values[i]! / scale[row]!)));
  }
  return { ...matrix, values, scale };
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/** The first `width` components at unit length; a vector of zeros stays zero. */
export function unit(vector: Float32Array, width = vector.length): Float32Array {
  let sum = 0;
  for (let i = 0; i < width; i++) sum += vector[i]! ** 2;
  const norm = Math.max(Math.sqrt(sum), 1e-12);
  return vector.slice(0, width).map((component) => component / norm);
}
