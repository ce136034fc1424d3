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
  const head = model.exits.find(({ layer }) => layer === exit)!;
  graph.output(graph.leave(head), "embedding", "float", ["texts", model.hidden]);
  return graph.toBytes();
}

/** Activations ready for a matrix: fp32, or bytes with one scale a row. */
type Rows = {
  readonly values: string;
  readonly scale?: string;
  /** With skewed bytes: what a byte of 0 stands for. */
  readonly zero?: string;
};

class EncoderGraph extends GraphBuilder {
  private readonly shape = this.input("shape", "int64", [3]);
  private readonly ids = this.input("ids", "int32", ["tokens"]);
  private readonly made = new Map<string, string>();
  private readonly tables = new Map<Matrix, string>();

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

  private zeroPoint(value: number): string {
    return this.shared(`zero point ${value}`, () => this.constant(Uint8Array.of(value), []));
  }

  /** cos or sin of position · θ^(−2j/s), [positions, s / 2]. */
  private angles(turn: "cos" | "sin", ropeTheta: number): string {
    const half = headSizeOf(this.model) / 2;
    const positions = longestInput(this.model);
    const value = (_: unknown, i: number): number =>
      Math[turn](Math.floor(i / half) * ropeTheta ** (-(i % half) / half));
    return this.shared(`${turn} ${ropeTheta}`, () =>
      this.constant(Float32Array.from({ length: positions * half }, value), [positions, half]),
    );
  }

  /** The rows of a table that the tokens have, [tokens, columns]. */
  private lookUp(table: Matrix): string {
    const { rows, columns } = table;
    const { values, scale } =
      this.precision === "int8" ? quantise(table) : { values: dequantise(table), scale: undefined };
    // a table that the trunk and exit 0 share is held once
    const name = this.tables.get(table) ?? this.constant(values, [rows, columns]);
    this.tables.set(table, name);
    if (!scale) return this.node("Gather", [name, this.ids]);
    const bytes = this.node("Cast", [this.node("Gather", [name, this.ids])], { to: 1 });
    return this.node("Mul", [bytes, this.node("Gather", [this.constant(scale, [rows, 1]), this.ids])]);
  }

  /** The states that enter the first block, [tokens, hidden]. */
  private embed(): string {
    const { embedding, positions, embeddingNorm, hidden } = this.model;
    let x = this.lookUp(embedding);
    if (positions) {
      const table = this.constant(dequantise(positions), [positions.rows, hidden]);
      const length = this.node("Slice", [this.shape, this.integers(1), this.integers(2), this.integers(0)]);
      const rows = this.node("Slice", [table, this.integers(0), length, this.integers(0)]);
      x = this.flat(this.node("Add", [this.texts(x), rows]), hidden);
    }
    return embeddingNorm ? this.norm(embeddingNorm, x) : x;
  }

  private block(block: Block, x: string): string {
    const { heads, normPlace } = this.model;
    const after = normPlace === "after";
    const normed = this.rows(block.attentionNorm && !after ? this.norm(block.attentionNorm, x) : x);
    const query = this.turned(this.multiply(normed, this.allHeads(block.query)), block.queryNorm, block);
    const key = this.turned(this.multiply(normed, this.allHeads(block.key)), block.keyNorm, block);
    const value = this.texts(this.multiply(normed, this.allHeads(block.value)));
    const seen = block.reach === undefined ? [] : ["", "", this.near(block.reach)];
    const mixed = this.node("com.microsoft:MultiHeadAttention", [query, key, value, ...seen], {
      num_heads: heads,
      unidirectional: this.model.causal ? 1 : 0,
    });
    const width = headSizeOf(this.model) * heads;
    const sum = this.node("Add", [x, this.multiply(this.rows(this.flat(mixed, width)), block.output)]);
    const y = after && block.attentionNorm ? this.norm(block.attentionNorm, sum) : sum;

    const input = this.rows(after ? y : this.norm(block.feedforwardNorm, y));
    const out = this.node("Add", [y, block.gate ? this.gated(input, block.gate, block) : this.plain(input, block)]);
    return after ? this.norm(block.feedforwardNorm, out) : out;
  }

  /** What is added to the scores of attention, [1, 1, length, length]: nothing up to `reach` places away, −10⁹ beyond. */
  private near(reach: number): string {
    return this.shared(`near ${reach}`, () => {
      const scalar = (value: number): string => this.constant(BigInt64Array.of(BigInt(value)), []);
      const length = this.node("Gather", [this.shape, scalar(1)]);
      const places = this.node("Range", [scalar(0), length, scalar(1)]);
      const apart = this.node("Sub", [
        this.node("Unsqueeze", [places, this.integers(1)]),
        this.node("Unsqueeze", [places, this.integers(0)]),
      ]);
      const seen = this.node("LessOrEqual", [this.node("Abs", [apart]), scalar(reach)]);
      const bias = this.node("Where", [seen, this.number(0), this.number(-1e9)]);
      return this.node("Unsqueeze", [bias, this.integers(0, 1)]);
    });
  }

  /**
   * down(activation(gate(x)) ⊙ up(x)). The row scales of up(x) cancel in the quantisation of the product, so they are
   * multiplied into its scales instead of into its rows.
   */
  private gated(x: Rows, gate: Matrix, { up, down, activation }: Block): string {
    const gates = this.bent(activation, this.multiply(x, gate));
    if (!x.scale || up.bias) return this.multiply(this.rows(this.node("Mul", [gates, this.multiply(x, up)])), down);
    const { values, scale } = this.rows(this.node("Mul", [gates, this.unscaled(x, up)]));
    return this.multiply({ values, scale: this.node("Mul", [scale!, x.scale]) }, down);
  }

  private plain(x: Rows, { up, down, activation }: Block): string {
    return this.multiply(this.rows(this.bent(activation, this.multiply(x, up))), down);
  }

  private bent(activation: Activation, x: string): string {
    if (activation === "silu") return this.node("com.microsoft:QuickGelu", [x], { alpha: { float: 1 } });
    return this.node({ gelu: "com.microsoft:Gelu", "gelu-tanh": "com.microsoft:FastGelu", relu: "Relu" }[activation], [
      x,
    ]);
  }

  /** The vector of an exit, [texts, hidden], not of unit length. */
  leave({ layer, norm, projection, share }: ExitHead): string {
    let embedding = this.leaveAtOnce();
    if (layer > 0) {
      const x = this.model.blocks.slice(0, layer).reduce((trunk, block) => this.block(block, trunk), this.embed());
      const pooled = this.pool(norm ? this.norm(norm, x) : x);
      const own = projection ? this.multiply(this.pooledRows(pooled), projection) : pooled;
      embedding =
        share === undefined ? own : this.node("Add", [own, this.node("Mul", [embedding, this.number(share)])]);
    }
    return this.precision === "fp16" ? this.node("Cast", [embedding], { to: 1 }) : embedding;
  }

  /** The one row a text that enters a projection: bytes would save little there and, without a norm before, cost much. */
  private pooledRows(x: string): Rows {
    return this.model.normPlace === "after" ? { values: x } : this.rows(x, "texts");
  }

  private pool(x: string): string {
    const { pooling } = this.model;
    if (pooling === "mean") return this.mean(x);
    const place = this.constant(BigInt64Array.of(pooling === "first" ? 0n : -1n), []);
    return this.node("Gather", [this.texts(x), place], { axis: 1 });
  }

  private mean(x: string): string {
    return this.node("ReduceMean", [this.texts(x), this.integers(1)], { keepdims: 0 });
  }

  /** Exit 0's vector; no node where the model has no such exit. */
  private leaveAtOnce(): string {
    const { bag, exits } = this.model;
    if (!bag) return "";
    const means = bag.map((table) => this.mean(this.lookUp(table)));
    const pooled = means.length === 1 ? means[0]! : this.node("Concat", means, { axis: 1 });
    const projection = exits.find(({ layer }) => layer === 0)?.projection;
    return projection ? this.multiply(this.pooledRows(pooled), projection) : pooled;
  }

  private norm(norm: Norm, x: string): string {
    const weight = this.constant(norm.weight, [norm.weight.length]);
    const attributes = { axis: -1, epsilon: { float: norm.epsilon } };
    if (norm.kind === "rms") return this.node("SimplifiedLayerNormalization", [x, weight], attributes);
    const bias = norm.bias ?? new Float32Array(norm.weight.length);
    return this.node("LayerNormalization", [x, weight, this.constant(bias, [bias.length])], attributes);
  }

  /** [tokens, width] → [texts, length, width], of any width */
  private texts(x: string): string {
    const shape = this.shared("shape of texts", () =>
      this.node(
        "Concat",
        [this.node("Slice", [this.shape, this.integers(0), this.integers(2), this.integers(0)]), this.integers(-1)],
        { axis: 0 },
      ),
    );
    return this.node("Reshape", [x, shape]);
  }

  /** [texts, length, width] → [tokens, width] */
  private flat(x: string, width: number): string {
    return this.node("Reshape", [x, this.integers(-1, width)]);
  }

  /** Queries or keys as attention takes them: heads normed and turned, where the layer has it so. */
  private turned(x: string, norm: Norm | undefined, { ropeTheta }: Block): string {
    const { heads } = this.model;
    const size = headSizeOf(this.model);
    const normed = norm ? this.flat(this.norm(norm, this.flat(x, size)), heads * size) : x;
    if (ropeTheta === undefined) return this.texts(normed);
    const tables = [this.angles("cos", ropeTheta), this.angles("sin", ropeTheta)];
    return this.node("com.microsoft:RotaryEmbedding", [this.texts(normed), this.integers(0), ...tables]);
  }

  /**
   * Rows as bytes, each row by itself. Symmetric: round(x / a) + 128 with a = max|x| / 127. Skewed, where the model's norms
   * come last, since the states then have a few large components of one sign: round(x / a) + z with a = (max − min) / 255
   * and z = round(−min / a). A row of zeros gets a = 0 or nearly, and whatever its bytes are, a · Σ is zero. `among` says
   * how many rows there are: those of all tokens, or of all texts.
   */
  private rows(x: string, among: "tokens" | "texts" = "tokens"): Rows {
    if (this.precision !== "int8") return { values: x };
    if (this.model.normPlace === "after") return this.skewedRows(x);
    const most = this.node("ReduceMax", [this.node("Abs", [x]), this.integers(-1)], { keepdims: 0 });
    const scales = this.node("Mul", [most, this.number(1 / 127)]);
    const zeroPoints = this.shared(`zero points of ${among}`, () =>
      this.node("Expand", [this.zeroPoint(128), this.node("Shape", [scales])]),
    );
    const values = this.node("QuantizeLinear", [x, scales, zeroPoints], { axis: 0 });
    return { values, scale: this.node("Unsqueeze", [scales, this.integers(1)]) };
  }

  private skewedRows(x: string): Rows {
    const reduced = (operator: string): string => this.node(operator, [x, this.integers(-1)], { keepdims: 0 });
    const least = this.node("Min", [reduced("ReduceMin"), this.number(0)]);
    const most = this.node("Max", [reduced("ReduceMax"), this.number(0)]);
    const span = this.node("Mul", [this.node("Sub", [most, least]), this.number(1 / 255)]);
    const scales = this.node("Max", [span, this.number(1e-30)]);
    const zeroes = this.node("Round", [this.node("Neg", [this.node("Div", [least, scales])])]);
    const values = this.node("QuantizeLinear", [x, scales, this.node("Cast", [zeroes], { to: 2 })], { axis: 0 });
    const column = (name: string): string => this.node("Unsqueeze", [name, this.integers(1)]);
    return {
      values,
      scale: column(scales),
      zero: column(this.node("Neg", [this.node("Mul", [scales, zeroes])])),
    };
  }

  /** x Wᵀ + bias */
  private multiply(x: Rows, matrix: Matrix): string {
    const y = x.scale ? this.node("Mul", [this.unscaled(x, matrix), x.scale]) : this.unscaled(x, matrix);
    if (x.zero !== undefined) return this.corrected(y, x.zero, matrix);
    return matrix.bias ? this.node("Add", [y, this.constant(matrix.bias, [matrix.rows])]) : y;
  }

  /** Adds what the zero points of skewed rows leave out, the sums of the weights, and the bias: one product of depth 2. */
  private corrected(y: string, zero: string, matrix: Matrix): string {
    const sums = rowSums(quantise(matrix));
    const columns = this.shared(`columns of ${zero}`, () => {
      const ones = this.node("Add", [this.node("Mul", [zero, this.number(0)]), this.number(1)]);
      return this.node("Concat", [zero, ones], { axis: 1 });
    });
    const both = new Float32Array(2 * matrix.rows);
    both.set(sums);
    if (matrix.bias) both.set(matrix.bias, matrix.rows);
    return this.node("Gemm", [columns, this.constant(both, [2, matrix.rows]), y]);
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
    const zero = this.zeroPoint(x.zero === undefined ? 128 : 0);
    return this.node("com.microsoft:MatMulIntegerToFloat", [x.values, weights, this.number(1), scales, zero]);
  }

  /** Repeats the rows of shared key and value heads, so that every query head has its own. */
  private allHeads(matrix: Matrix): Matrix {
    const { heads } = this.model;
    const size = headSizeOf(this.model);
    const all = size * heads;
    if (matrix.rows === all) return matrix;
    const shared = all / matrix.rows;
    const repeat = <T extends Int8Array | Float32Array>(values: T, width: number): T => {
      const wide = new (values.constructor as new (length: number) => T)(all * width);
      for (let head = 0; head < heads; head++) {
        const from = Math.floor(head / shared) * size * width;
        wide.set(values.subarray(from, from + size * width), head * size * width);
      }
      return wide;
    };
    return {
      rows: all,
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

/** Σ over a row's weights, scales included. */
const rowSums = ({ rows, columns, values, scale }: Matrix): Float32Array =>
  Float32Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let i = row * columns; i < (row + 1) * columns; i++) sum += values[i]!;
    return sum * (scale?.[row] ?? 1);
  });
