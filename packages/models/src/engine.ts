import { TesseraError } from "@tessera/core";
import type { EncoderModel } from "./encoder-model.js";

/** Token-packed inputs: text i is ids[offsets[i]] … ids[offsets[i + 1] − 1]; there is no padding. */
export interface Ragged {
  readonly ids: Int32Array;
  /** One more than there are texts; the first is 0, the last ids.length. */
  readonly offsets: Int32Array;
}

/** An encoder loaded by an engine. */
export interface EncoderSession {
  /** Layers, rising. */
  readonly exits: readonly number[];
  readonly hidden: number;
  /**
   * [texts, hidden], row-major: unit vectors of full width, one a text, that leave after layer `exit`.
   * A text's vector does not depend on the other texts of the batch or on other callers.
   * @throws TesseraError BAD_ARGUMENT for an exit, ids or offsets that do not fit the model; ABORTED; CLOSED; MODEL_FAILED.
   */
  encode(batch: Ragged, exit: number, signal?: AbortSignal): Promise<Float32Array>;
  close(): Promise<void>;
}

/** One way to compute. All engines reach the same golden vectors, each to its own precision. */
export interface Engine {
  readonly info: { readonly kind: "reference" | "cpu" | "gpu"; readonly device: string; readonly dtype: string };
  /** @throws TesseraError DEPENDENCY_MISSING where the engine cannot run on this machine. */
  loadEncoder(model: EncoderModel): Promise<EncoderSession>;
}

/** Packs inputs, one a text. */
export function ragged(inputs: readonly (Int32Array | readonly number[])[]): Ragged {
  const offsets = new Int32Array(inputs.length + 1);
  for (const [i, input] of inputs.entries()) offsets[i + 1] = offsets[i]! + input.length;
  const ids = new Int32Array(offsets[inputs.length]!);
  for (const [i, input] of inputs.entries()) ids.set(input, offsets[i]);
  return { ids, offsets };
}

/**
 * What every engine asks of a batch before it computes.
 * @throws TesseraError BAD_ARGUMENT
 */
export function checkBatch({ ids, offsets }: Ragged, exit: number, model: EncoderModel, longest: number): void {
  const refuse = (message: string, hint?: string): TesseraError =>
    new TesseraError("BAD_ARGUMENT", message, { path: model.name, hint });
  if (!model.exits.some(({ layer }) => layer === exit))
    throw refuse(`there is no exit at layer ${exit}`, `exits: ${model.exits.map(({ layer }) => layer).join(", ")}`);
  if (offsets.length === 0 || offsets[0] !== 0 || offsets.at(-1) !== ids.length)
    throw refuse("offsets must begin with 0 and end with the number of ids");
  for (let i = 1; i < offsets.length; i++) {
    const length = offsets[i]! - offsets[i - 1]!;
    if (length < 1 || length > longest)
      throw refuse(`text ${i - 1} has ${length} tokens; 1 to ${longest} can be encoded`);
  }
  for (const id of ids) if (id < 0 || id >= model.embedding.rows) throw refuse(`token ${id} is outside the vocabulary`);
}
