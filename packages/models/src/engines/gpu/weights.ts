import { dequantise, type Matrix } from "../../architectures/encoder.js";
import type { Device } from "./device.js";

/**
 * Buffers that live as long as a model. Int8 weights are dequantised when they are loaded: WGSL has no byte loads, and at
 * these sizes fp16 weights stay in the cache of a GPU, so unpacking in every product would cost more than it saves.
 */
export class Weights {
  private readonly buffers: GPUBuffer[] = [];
  readonly type: "f32" | "f16";

  constructor(
    private readonly device: Device,
    half: boolean,
  ) {
    this.type = half ? "f16" : "f32";
  }

  keep(buffer: GPUBuffer): GPUBuffer {
    this.buffers.push(buffer);
    return buffer;
  }

  buffer(bytes: number, what: string, indirect = false): GPUBuffer {
    return this.keep(this.device.buffer(bytes, what, indirect));
  }

  /** The weights, then the bias where there is one. */
  matrix(matrix: Matrix, what: string): GPUBuffer[] {
    const values = dequantise(matrix);
    const weights = this.keep(this.device.from(this.type === "f16" ? halves(values) : Float32Array.from(values), what));
    return matrix.bias ? [weights, ...this.vectors(what, matrix.bias)] : [weights];
  }

  vectors(what: string, ...values: (Float32Array | undefined)[]): GPUBuffer[] {
    return values
      .filter((value) => value !== undefined)
      .map((value) => this.keep(this.device.from(Float32Array.from(value), what)));
  }

  release(): void {
    this.device.release(this.buffers.splice(0));
  }
}

/** Matrices under each other, in fp32; a bias where one of them has one. */
export function stack(matrices: readonly Matrix[]): Matrix {
  const columns = matrices[0]!.columns;
  const rows = matrices.reduce((sum, matrix) => sum + matrix.rows, 0);
  const values = new Float32Array(rows * columns);
  const bias = matrices.some((matrix) => matrix.bias) ? new Float32Array(rows) : undefined;
  let at = 0;
  for (const matrix of matrices) {
    values.set(dequantise(matrix), at * columns);
    if (matrix.bias) bias!.set(matrix.bias, at);
    at += matrix.rows;
  }
  return { rows, columns, values, bias };
}

/** Rows of gate and up in turn. */
export function interleave(gate: Matrix, up: Matrix): Matrix {
  const { rows, columns } = gate;
  const pairs = stack([gate, up]);
  const values = new Float32Array(2 * rows * columns);
  const bias = pairs.bias && new Float32Array(2 * rows);
  for (let row = 0; row < 2 * rows; row++) {
    const to = row < rows ? 2 * row : 2 * (row - rows) + 1;
    values.set((pairs.values as Float32Array).subarray(row * columns, (row + 1) * columns), to * columns);
    if (bias) bias[to] = pairs.bias![row]!;
  }
  return { rows: 2 * rows, columns, values, bias };
}

const single = new Float32Array(1);
const bits = new Uint32Array(single.buffer);

/** IEEE 754 binary16, rounded to the nearest, ties to even; beyond its range infinite. */
export function halves(values: Float32Array): Uint16Array {
  return Uint16Array.from(values, (value) => {
    single[0] = value;
    const sign = (bits[0]! >>> 16) & 0x8000;
    const size = Math.abs(value);
    if (!(size < 65520)) return sign | (Number.isNaN(value) ? 0x7e00 : 0x7c00);
    const exponent = Math.max(((bits[0]! >>> 23) & 0xff) - 127, -14);
    const steps = size / 2 ** (exponent - 10);
    const floor = Math.floor(steps);
    const rest = steps - floor;
    const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
    // a mantissa that overflows carries into the exponent by itself
    return sign | (rounded + ((exponent + 14) << 10));
  });
}

/** The numbers that binary16 holds. */
export function fromHalves(values: Uint16Array): Float32Array {
  return Float32Array.from(values, (half) => {
    const exponent = (half >> 10) & 31;
    const mantissa = half & 1023;
    const special = mantissa ? Number.NaN : Number.POSITIVE_INFINITY;
    const size =
      exponent === 31 ? special : exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25);
    return half >> 15 ? -size : size;
  });
}
