import {
  type Block,
  dequantise,
  type EncoderModel,
  type ExitHead,
  longestInput,
  type Matrix,
  type Norm,
  quantise,
} from "../../architectures/encoder.js";
import { halves } from "../gpu/weights.js";
import { type Constant, GraphBuilder } from "./onnx-graph.js";

/** "int8": stored weights, activations quantised row by row; "fp16" is for providers that have it, none of the CPU's. */
export type Precision = "int8" | "fp32" | "fp16";

/**
 * All that leads to the exit after layer `exit`, as an ONNX model. All texts of a run have the same length, so there is no
 * padding and no mask.
 *
 * Inputs: `ids` int32 [tokens]; `shape` int64 [3] = texts, tokens of each, hidden.
 * Output: `embedding` float [texts, hidden], not yet of unit length.
 */
export function exitGraph(model: EncoderModel, exit: number, precision: Precision): Uint8Array {
  const graph = new EncoderGraph(model, precision);
  const x = model.blocks.slice(0, exit).reduce((trunk, block) => graph.block(block, trunk), graph.embed());
  const head = model.exits.find(({ layer }) => layer === exit)!;
  graph.output(graph.leave(head, x), "embedding", "float", ["texts", model.hidden]);
  return graph.toBytes();
}

/** Activations ready for a matrix: fp32, or bytes with one scale a row. */
type Rows = { readonly values: string; readonly scale?: string };

class EncoderGraph extends GraphBuilder {
  private readonly shape = this.input("shape", "int64", [3]);
  private readonly made = new Map<string, string>();

  constructor(
    private readonly model: EncoderModel,
    private readonly precision: Precision,
  ) {
    super();
  }

  override constant(values: Constant, shape: readonly number[]): string {
    const half = this.precision === "fp16" && values instanceof Float32Array;
    return super.constant(half ? halves(values) : values, shape);
  }

  /** A constant that several nodes read; it is made when the first one asks. */
  private shared(key: string, make: () => string): string {
    const name = this.made.get(key) ?? make();
    this.made.set(key, name);
    return name;
  }

  private integers(...values: number[]): string {
    return this.shared(`integers ${values}`, () => this.constant(BigInt64Array.from(values, BigInt), [values.length]));
  }

  private number(value: number): string {
    return this.shared(`number ${value}`, () => this.constant(Float32Array.of(value), []));
  }

  private zeroPoint(): string {
    return this.shared("zero point", () => this.constant(Uint8Array.of(128), []));
  }

  /** cos or sin of position · θ^(−2j/s), [positions, s / 2]. */
  private angles(turn: "cos" | "sin"): string {
    const half = this.model.hidden / this.model.heads / 2;
    const positions = longestInput(this.model);
    const value = (_: unknown, i: number): number =>
      Math[turn](Math.floor(i / half) * this.model.ropeTheta ** (-(i % half) / half));
    return this.shared(turn, () =>
      this.constant(Float32Array.from({ length: positions * half }, value), [positions, half]),
    );
  }

  embed(): string {
    const ids = this.input("ids", "int32", ["tokens"]);
    const { embedding } = this.model;
    const { rows, columns } = embedding;
    const { values, scale } =
      this.precision === "int8" ? quantise(embedding) : { values: dequantise(embedding), scale: undefined };
    const table = this.constant(values, [rows, columns]);
    if (!scale) return this.node("Gather", [table, ids]);
    const bytes = this.node("Cast", [this.node("Gather", [table, ids])], { to: 1 });
    return this.node("Mul", [bytes, this.node("Gather", [this.constant(scale, [rows, 1]), ids])]);
  }

  block(block: Block, x: string): string {
    const normed = this.rows(this.norm(block.attentionNorm, x));
    const query = this.rotate(this.multiply(normed, this.allHeads(block.query)));
    const key = this.rotate(this.multiply(normed, this.allHeads(block.key)));
    const value = this.texts(this.multiply(normed, this.allHeads(block.value)));
    const heads = this.node("com.microsoft:MultiHeadAttention", [query, key, value], { num_heads: this.model.heads });
    const mixed = this.multiply(this.rows(this.flat(heads)), block.output);
    const y = this.node("Add", [x, mixed]);

    const input = this.rows(this.norm(block.feedforwardNorm, y));
    return this.node("Add", [y, block.gate ? this.gated(input, block.gate, block) : this.plain(input, block)]);
  }

  /**
   * down(silu(gate(x)) ⊙ up(x)). The row scales of up(x) cancel in the quantisation of the product, so they are
   * multiplied into its scales instead of into its rows.
   */
  private gated(x: Rows, gate: Matrix, { up, down }: Block): string {
    const gates = this.silu(this.multiply(x, gate));
    if (!x.scale || up.bias) return this.multiply(this.rows(this.node("Mul", [gates, this.multiply(x, up)])), down);
    const { values, scale } = this.rows(this.node("Mul", [gates, this.unscaled(x, up)]));
    return this.multiply({ values, scale: this.node("Mul", [scale!, x.scale]) }, down);
  }

  private plain(x: Rows, { up, down }: Block): string {
    return this.multiply(this.rows(this.node("com.microsoft:FastGelu", [this.multiply(x, up)])), down);
  }

  leave({ norm, projection }: ExitHead, x: string): string {
    const texts = this.texts(norm ? this.norm(norm, x) : x);
    const pooled =
      this.model.pooling === "mean"
        ? this.node("ReduceMean", [texts, this.integers(1)], { keepdims: 0 })
        : this.node("Gather", [texts, this.constant(BigInt64Array.of(-1n), [])], { axis: 1 });
    const embedding = this.multiply(this.rows(pooled, "texts"), projection);
    return this.precision === "fp16" ? this.node("Cast", [embedding], { to: 1 }) : embedding;
  }

  private norm(norm: Norm, x: string): string {
    const weight = this.constant(norm.weight, [norm.weight.length]);
    const attributes = { axis: -1, epsilon: { float: norm.epsilon } };
    if (norm.kind === "rms") return this.node("SimplifiedLayerNormalization", [x, weight], attributes);
    const bias = norm.bias ?? new Float32Array(norm.weight.length);
    return this.node("LayerNormalization", [x, weight, this.constant(bias, [bias.length])], attributes);
  }

  /** z · sigmoid(z) */
  private silu(z: string): string {
    return this.node("com.microsoft:QuickGelu", [z], { alpha: { float: 1 } });
  }

  /** [tokens, hidden] → [texts, length, hidden] */
  private texts(x: string): string {
    return this.node("Reshape", [x, this.shape]);
  }

  /** [texts, length, hidden] → [tokens, hidden] */
  private flat(x: string): string {
    return this.node("Reshape", [x, this.integers(-1, this.model.hidden)]);
  }

  private rotate(x: string): string {
    const inputs = [this.texts(x), this.integers(0), this.angles("cos"), this.angles("sin")];
    return this.node("com.microsoft:RotaryEmbedding", inputs);
  }

  /**
   * Rows as bytes round(x / a) + 128 with a = max|x| / 127, each row by itself. A row of zeros gets a = 0, and whatever
   * its bytes are, a · Σ is zero. `among` says how many rows there are: those of all tokens, or of all texts.
   */
  private rows(x: string, among: "tokens" | "texts" = "tokens"): Rows {
    if (this.precision !== "int8") return { values: x };
    const most = this.node("ReduceMax", [this.node("Abs", [x]), this.integers(-1)], { keepdims: 0 });
    const scales = this.node("Mul", [most, this.number(1 / 127)]);
    const zeroPoints = this.shared(`zero points of ${among}`, () =>
      this.node("Expand", [this.zeroPoint(), this.node("Shape", [scales])]),
    );
    const values = this.node("QuantizeLinear", [x, scales, zeroPoints], { axis: 0 });
    return { values, scale: this.node("Unsqueeze", [scales, this.integers(1)]) };
  }

  /** x Wᵀ + bias */
  private multiply(x: Rows, matrix: Matrix): string {
    const y = x.scale ? this.node("Mul", [this.unscaled(x, matrix), x.scale]) : this.unscaled(x, matrix);
    return matrix.bias ? this.node("Add", [y, this.constant(matrix.bias, [matrix.rows])]) : y;
  }

  /** x Wᵀ, where the scales of the rows of x are still to be multiplied in. */
  private unscaled(x: Rows, matrix: Matrix): string {
    const { rows: outputs, columns: inputs } = matrix;
    if (!x.scale) {
      const weights = this.constant(transpose(dequantise(matrix), outputs, inputs), [inputs, outputs]);
      return this.node("MatMul", [x.values, weights]);
    }
    const { values, scale } = quantise(matrix);
    const weights = this.constant(transpose(values as Int8Array, outputs, inputs), [inputs, outputs]);
    const scales = this.constant(scale!, [outputs]);
    return this.node("com.microsoft:MatMulIntegerToFloat", [
      x.values,
      weights,
      this.number(1),
      scales,
      this.zeroPoint(),
    ]);
  }

  /** Repeats the rows of shared key and value heads, so that every query head has its own. */
  private allHeads(matrix: Matrix): Matrix {
    const { hidden, heads } = this.model;
    if (matrix.rows === hidden) return matrix;
    const size = hidden / heads;
    const shared = hidden / matrix.rows;
    const repeat = <T extends Int8Array | Float32Array>(values: T, width: number): T => {
      const all = new (values.constructor as new (length: number) => T)(hidden * width);
      for (let head = 0; head < heads; head++) {
        const from = Math.floor(head / shared) * size * width;
        all.set(values.subarray(from, from + size * width), head * size * width);
      }
      return all;
    };
    return {
      rows: hidden,
      columns: matrix.columns,
      values: repeat(matrix.values, matrix.columns),
      scale: matrix.scale && repeat(matrix.scale, 1),
      bias: matrix.bias && repeat(matrix.bias, 1),
    };
  }
}

function transpose<T extends Int8Array | Float32Array>(values: T, rows: number, columns: number): T {
  const turned = new (values.constructor as new (length: number) => T)(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) turned[column * rows + row] = values[row * columns + column]!;
  return turned;
}
