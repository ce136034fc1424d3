import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { TesseraError } from "@tessera/core";
import type { StoredMatrix, Weight } from "../architectures/decoder.js";
import type { Norm } from "../architectures/encoder.js";
import { readRows, rowsOfTensor, type StoredTensor } from "./stored-rows.js";

/** Tensors that lie in files: their places are known, their values are read when they are needed. */
export interface StoredWeights {
  /** Where they lie, for errors. */
  readonly folder: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** 16 hex digits of the config, the sizes of the files, and names, types, shapes and first bytes of every tensor. */
  readonly revision: string;
}

/** Bytes of each tensor that count for the revision. */
const sampled = 256;

/** The revision of weights that stay in their files: hashing all bytes would read them all. */
export async function revisionOf(
  files: readonly string[],
  tensors: ReadonlyMap<string, StoredTensor>,
  configHash: string,
): Promise<string> {
  const hash = createHash("sha256").update(configHash);
  for (const path of files) {
    const file = await open(path, "r");
    try {
      hash.update(String((await file.stat()).size));
      const bytes = Buffer.alloc(sampled);
      for (const [name, { shape, stored }] of tensors) {
        if (stored.path !== path) continue;
        const { bytesRead } = await file.read(bytes, 0, sampled, stored.offset);
        hash.update(`${name} ${stored.type} ${shape}`).update(bytes.subarray(0, bytesRead));
      }
    } finally {
      await file.close();
    }
  }
  return hash.digest("hex").slice(0, 16);
}

/** Takes stored tensors by name and shape; what is missing, surplus or misshapen is BAD_BUNDLE. */
export class StoredTensors {
  private readonly unused: Set<string>;

  constructor(
    private readonly weights: StoredWeights,
    private readonly epsilon: number,
  ) {
    this.unused = new Set(weights.tensors.keys());
  }

  has(name: string): boolean {
    return this.weights.tensors.has(name);
  }

  bad(name: string, message: string): TesseraError {
    return new TesseraError("BAD_BUNDLE", message, { path: `${this.weights.folder}#${name}` });
  }

  private take(name: string, shape: readonly number[]): StoredTensor {
    const tensor = this.weights.tensors.get(name);
    if (!tensor) throw this.bad(name, "the tensor is missing");
    if (tensor.shape.join() !== shape.join())
      throw this.bad(name, `the shape is [${tensor.shape}], the config asks for [${shape}]`);
    this.unused.delete(name);
    return tensor;
  }

  /** A matrix, with the bias `name.bias` where the file has one. */
  matrix(name: string, rows: number, columns: number): StoredMatrix {
    const { stored } = this.take(`${name}.weight`, [rows, columns]);
    const bias = this.has(`${name}.bias`) ? this.vector(`${name}.bias`, rows) : undefined;
    return { rows, columns, stored, bias };
  }

  /** Matrices that lie one after another in one tensor [count, rows, columns]. */
  matrices(name: string, count: number, rows: number, columns: number): StoredMatrix[] {
    const tensor = this.take(name, [count, rows, columns]);
    return Array.from({ length: count }, (_, i) => rowsOf(tensor, i * rows, rows));
  }

  /** Pairs of matrices that lie one after another in one tensor [count, 2 · rows, columns]. */
  pairs(name: string, count: number, rows: number, columns: number): { first: Weight[]; second: Weight[] } {
    const tensor = this.take(name, [count, 2 * rows, columns]);
    const half = (which: number): Weight[] =>
      Array.from({ length: count }, (_, i) => rowsOf(tensor, (2 * i + which) * rows, rows));
    return { first: half(0), second: half(1) };
  }

  /** Two matrices that lie one after another in one tensor [2 · rows, columns]. */
  pair(name: string, rows: number, columns: number): [Weight, Weight] {
    const tensor = this.take(name, [2 * rows, columns]);
    return [rowsOf(tensor, 0, rows), rowsOf(tensor, rows, rows)];
  }

  vector(name: string, size: number): Float32Array {
    return readRows(this.take(name, [size]).stored, 1, size);
  }

  /** A vector of whatever length it has. */
  anyVector(name: string): Float32Array {
    const tensor = this.weights.tensors.get(name);
    if (tensor?.shape.length !== 1) throw this.bad(name, "the tensor is missing, or no vector");
    return this.vector(name, tensor.shape[0]!);
  }

  norm(name: string, size: number): Norm {
    return { kind: "rms", epsilon: this.epsilon, weight: this.vector(`${name}.weight`, size) };
  }

  /** To be called when all is taken; tensors of `passedOver` are not missed. */
  finish(passedOver?: RegExp): void {
    for (const name of this.unused)
      if (!passedOver?.test(name)) throw this.bad(name, "the config has no place for the tensor");
  }
}

function rowsOf(tensor: StoredTensor, first: number, count: number): StoredMatrix {
  return { rows: count, columns: tensor.shape.at(-1)!, stored: rowsOfTensor(tensor, first, count).stored };
}
