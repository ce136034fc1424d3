import { digits } from "./kernel-blocks.js";
import type { Kernels } from "./kernels.js";
import { bytesOfMatrix, isBlocks, isFours, padded, tileOf } from "./pack-weights.js";
import type { PackedMatrix, PackedModel, Scratch } from "./packed.js";
import type { TeamMember } from "./team.js";

/** Numbers of fp32 one after another, `stride` apart. */
export interface Rows {
  readonly address: number;
  readonly stride: number;
}

/** Rows as the kernel of a matrix takes them: where each begins, and what its products are multiplied by. */
interface Prepared {
  address(row: number): number;
  scale(row: number): number;
}

/** Rows that matrices multiply: `of` rounds them for a matrix, once for all of its kind. */
export interface Inputs {
  of(matrix: PackedMatrix): Prepared;
}

/** See `toDigits`: above this much of the root of the mean square a block of an input has twice the digits. */
const wideAbove = 4;

type Product = (...given: number[]) => void;

interface Multiplied {
  readonly rates?: readonly number[];
  readonly accumulate?: boolean;
  readonly whole?: boolean;
}

/** Products of one thread: rows are rounded as a matrix takes them, then multiplied. */
export class Products {
  /** Whose rows lie rounded in the scratch. */
  private readonly rounded: { halves?: Inputs; digits?: Inputs } = {};
  /** The team whose member computes its part of every product. */
  private team: TeamMember | undefined;

  constructor(
    private readonly model: PackedModel,
    private readonly kernels: Kernels,
    private readonly floats: Float32Array,
    private readonly integers: Int32Array,
    private readonly at: Scratch["at"],
  ) {}

  /** From now on products are divided among the team; undefined: this thread computes them alone. */
  divide(team: TeamMember | undefined): void {
    this.team = team;
  }

  /** The rows of a product that this thread computes. */
  rowsOf(matrix: PackedMatrix): { readonly from: number; readonly to: number } {
    const rows = padded(matrix.rows);
    if (!this.team) return { from: 0, to: rows };
    const panel = tileOf(matrix.kind).rows;
    const { from, to } = this.team.part(rows / panel);
    return { from: from * panel, to: to * panel };
  }

  /** What is rounded lies in room that the next rows overwrite: these are then rounded again. */
  prepare(rows: Rows, width: number, count: number): Inputs {
    const plain: Prepared = { address: (row) => rows.address + rows.stride * row, scale: () => 1 };
    let [halves, inDigits]: (Prepared | undefined)[] = [];
    const inputs: Inputs = {
      of: ({ kind }) => {
        if (kind === "float") return plain;
        const fours = isFours(kind);
        const room = fours ? "digits" : "halves";
        if (this.rounded[room] !== inputs)
          if (fours) inDigits = this.inDigits(rows, width, count);
          else halves = this.inHalves(rows, width, count);
        this.rounded[room] = inputs;
        return (fours ? inDigits : halves)!;
      },
    };
    return inputs;
  }

  /** Numbers of 16 bits with a scale a row. */
  private inHalves(rows: Rows, width: number, count: number): Prepared {
    const scales = new Float64Array(count);
    const from = this.at.quantised;
    const { hasBlocks } = this.model;
    const stride = (hasBlocks ? 2.25 : 2) * width;
    // the largest sum of products is below 2³¹; that of a block always is
    const most = hasBlocks ? 32767 : Math.min(32767, Math.floor((2 ** 31 - 1) / (128 * width)));
    for (let row = 0; row < count; row++) {
      const to = from + stride * row;
      scales[row] = this.kernels.quantise(rows.address + rows.stride * row, to, width, most);
      if (hasBlocks) this.kernels.blockSums(to, to + 2 * width, width % 32 === 0 ? 64 : 32, to + 2 * width);
    }
    return { address: (row) => from + stride * row, scale: (row) => scales[row]! };
  }

  /** Digits of 8 bits with a scale for every 32 columns. */
  private inDigits(rows: Rows, width: number, count: number): Prepared {
    const from = this.at.digits;
    const stride = (width / 32) * digits.bytes;
    for (let row = 0; row < count; row++)
      this.kernels.toDigits(rows.address + rows.stride * row, from + stride * row, width, wideAbove);
    return { address: (row) => from + stride * row, scale: () => 1 };
  }

  /**
   * output_i = matrix · input of `rows[i]`, times `rates[i]`; added to what is there, and without bias, with `accumulate`. A team
   * divides it, but for what is to be `whole`.
   */
  multiply(
    matrix: PackedMatrix,
    inputs: Inputs,
    rows: readonly number[],
    outputs: readonly number[],
    { rates, accumulate = false, whole = false }: Multiplied = {},
  ): void {
    const { at, kernels, integers, floats } = this;
    const { kind, weights, scales, bias } = matrix;
    const { address, scale } = inputs.of(matrix);
    const all = padded(matrix.rows);
    let [from, to, weightsFrom, scalesFrom] = [0, all, weights, scales];
    if (this.team && !whole) {
      ({ from, to } = this.rowsOf(matrix));
      if (from === to) return;
      const bytes = bytesOfMatrix(kind, matrix.rows, matrix.columns);
      weightsFrom += (bytes.weights / all) * from;
      scalesFrom += (bytes.scales / all) * from;
    }
    const count = rows.length;
    const [inputAt, scaleAt, outputAt] = [at.inputs / 4, at.inputScales / 4, at.outputs / 4];
    for (let i = 0; i < count; i++) {
      const rate = scale(rows[i]!);
      integers[inputAt + i] = address(rows[i]!);
      floats[scaleAt + i] = rates ? rate * rates[i]! : rate;
      integers[outputAt + i] = outputs[i]! + 4 * from;
    }
    const tile = tileOf(kind);
    const panels = (to - from) / tile.rows;
    const steps = padded(matrix.columns) / tile.columns;
    const adds = accumulate ? 1 : 0;
    const place = [weightsFrom, scalesFrom, bias + 4 * from, panels, steps] as const;
    if (!isBlocks(kind)) {
      const product = kind === "float" ? kernels.multiplyFloat : kernels.multiplyInt8;
      return product(...place, at.inputs, at.inputScales, at.outputs, count, adds);
    }
    const run = (product: Product, first: number, some: number): void =>
      product(...place, at.inputs + 4 * first, at.inputScales + 4 * first, at.outputs + 4 * first, some, adds);
    const inFours = count - (count % 4);
    const products = kernels.multiplyBlocks[kind];
    if (inFours > 0) run(products[4], 0, inFours);
    if (count > inFours) run(products[1], inFours, count - inFours);
  }
}
