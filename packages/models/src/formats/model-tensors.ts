import { TesseraError } from "@tessera/core";
import type { Matrix, Norm } from "../architectures/encoder.js";
import type { Bundle } from "./bundle.js";

/** Takes the tensors of a model's folder by name and shape; what is missing, surplus or misshapen is BAD_BUNDLE. */
export class ModelTensors {
  private readonly unused: Set<string>;

  constructor(
    private readonly model: Pick<Bundle, "folder" | "tensors">,
    private readonly epsilon: number,
  ) {
    this.unused = new Set(model.tensors.keys());
  }

  has(name: string): boolean {
    return this.model.tensors.has(name);
  }

  bad(name: string, message: string): TesseraError {
    return new TesseraError("BAD_BUNDLE", message, { path: `${this.model.folder}#${name}` });
  }

  private take(name: string, shape: readonly number[]): Int8Array | Float32Array {
    const tensor = this.model.tensors.get(name);
    if (!tensor) throw this.bad(name, "the tensor is missing");
    if (tensor.shape.join() !== shape.join())
      throw this.bad(name, `the shape is [${tensor.shape}], the config asks for [${shape}]`);
    this.unused.delete(name);
    return tensor.values;
  }

  /** A tensor of floating point, all its values finite. */
  single(name: string, shape: readonly number[]): Float32Array {
    const values = this.take(name, shape);
    if (!(values instanceof Float32Array)) throw this.bad(name, "the tensor must be of floating point");
    if (!values.every(Number.isFinite)) throw this.bad(name, "a value is not finite");
    return values;
  }

  /** A matrix of floating point. */
  singleMatrix(name: string, rows: number, columns: number): Matrix {
    return { rows, columns, values: this.single(name, [rows, columns]) };
  }

  /** Matrices that lie one after another in a tensor [count, rows, columns] with scales [count, rows]; views of it. */
  matrices(name: string, count: number, rows: number, columns: number): Matrix[] {
    return this.quantised(name, [count, rows, columns]);
  }

  /** I8 with one positive scale a row. */
  matrix(name: string, rows: number, columns: number): Matrix {
    return this.quantised(name, [rows, columns])[0]!;
  }

  private quantised(name: string, shape: readonly number[]): Matrix[] {
    const values = this.take(name, shape);
    if (!(values instanceof Int8Array)) throw this.bad(name, "the tensor must be I8");
    const scale = this.single(`${name}.scale`, shape.slice(0, -1));
    if (!scale.every((value) => value > 0)) throw this.bad(`${name}.scale`, "a scale is not positive");
    const [rows, columns] = shape.slice(-2) as [number, number];
    return Array.from({ length: values.length / (rows * columns) }, (_, i) => ({
      rows,
      columns,
      values: values.subarray(i * rows * columns, (i + 1) * rows * columns),
      scale: scale.subarray(i * rows, (i + 1) * rows),
    }));
  }

  norm(kind: Norm["kind"], name: string, size: number): Norm {
    const weight = this.single(`${name}.weight`, [size]);
    return kind === "rms"
      ? { kind, epsilon: this.epsilon, weight }
      : { kind, epsilon: this.epsilon, weight, bias: this.single(`${name}.bias`, [size]) };
  }

  /**
   * Throws where a tensor of the file was not taken, unless its name matches `passedOver`.
   * @throws TesseraError BAD_BUNDLE
   */
  assertAllTaken(passedOver?: RegExp): void {
    for (const name of this.unused)
      if (!passedOver?.test(name)) throw this.bad(name, "the config has no place for the tensor");
  }
}

/** A view of `count` rows from `first` on, with their biases. */
export const rowsOf = ({ values, scale, bias, columns }: Matrix, first: number, count: number): Matrix => ({
  rows: count,
  columns,
  values: values.subarray(first * columns, (first + count) * columns),
  scale: scale?.subarray(first, first + count),
  ...(bias && { bias: bias.subarray(first, first + count) }),
});
