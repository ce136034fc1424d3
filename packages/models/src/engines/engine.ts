// public: Engine
// internal: Ragged, EncoderSession, Sampling, DecoderSession, ragged
import { TesseraError } from "@tessera/core";
import type { DecoderModel } from "../architectures/decoder.js";
import type { EncoderModel } from "../architectures/encoder.js";

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
   * [texts, hidden], row-major: vectors of full width, one a text, that leave after layer `exit`; of unit length, but for a
   * model whose lengths are kept.
   * A text's vector does not depend on the other texts of the batch or on other callers.
   * @throws TesseraError BAD_ARGUMENT for an exit, ids or offsets that do not fit the model; ABORTED; CLOSED; MODEL_FAILED.
   */
  encode(batch: Ragged, exit: number, signal?: AbortSignal): Promise<Float32Array>;
  close(): Promise<void>;
}

/** How the next token is drawn. */
export interface Sampling {
  /** 0 takes the likeliest, of equal ones the lower id. */
  readonly temperature: number;
  /** Draws among the fewest likeliest tokens whose probabilities sum to this; 1 is all. */
  readonly topP: number;
  /** Uniform in [0, 1), from the caller's seed: the same for every engine and every batch. */
  readonly random: number;
  /** One bit an id (id i is bit i & 31 of word i >> 5): only these may be drawn, and log-probabilities are among these. */
  readonly allowed?: Uint32Array | undefined;
  /** How many of the likeliest tokens to report. */
  readonly alternatives?: number | undefined;
}

/** Work for some sequences at once: a piece of a prompt, or the one token drawn last. */
export interface DecoderBatch extends Ragged {
  /** [sequences]: tokens that are in the cache before this step. */
  readonly cached: Int32Array;
  /** The cache blocks of each sequence, in order: token t lies in blocks[t / blockTokens]; there is room for the new ones. */
  readonly blocks: readonly Int32Array[];
  /** What to draw after the last new token of each sequence; undefined where more of the prompt follows. */
  readonly sampling: readonly (Sampling | undefined)[];
  /** Sequences whose new tokens are to be scored: log-probability of each new token but the first, by the one before. */
  readonly scored?: readonly boolean[] | undefined;
  /** Asks how often each module was chosen. An engine may not count. */
  readonly counted?: boolean | undefined;
}

/** How often each module of each layer was chosen. */
export interface ModuleCounts {
  readonly attention: readonly Uint32Array[];
  readonly feedforward: readonly Uint32Array[];
}

export interface DecoderResult {
  /** [sequences]: the token drawn, −1 where none was asked for. */
  readonly next: Int32Array;
  /** [sequences]: its natural-log probability at temperature 1. */
  readonly logprob: Float32Array;
  /** By sequence, where asked for: the likeliest tokens, best first. */
  readonly alternatives?: readonly (readonly { readonly id: number; readonly logprob: number }[] | undefined)[];
  /** By sequence, where asked for: one number a new token but the first. */
  readonly scores?: readonly (Float32Array | undefined)[];
  /** Of all new tokens of the step, where it was asked for and the engine counts. */
  readonly modules?: ModuleCounts | undefined;
}

/** A decoder loaded by an engine, with a paged cache of `blocks` blocks of `blockTokens` tokens. */
export interface DecoderSession {
  readonly blocks: number;
  readonly blockTokens: number;
  /**
   * Runs the model on the new tokens of every sequence and appends them to their cache blocks. What a sequence gets does
   * not depend on the others in the batch. One step runs at a time; a second call waits for the first.
   * @throws TesseraError BAD_ARGUMENT, ABORTED, CLOSED, MODEL_FAILED
   */
  step(batch: DecoderBatch, signal?: AbortSignal): Promise<DecoderResult>;
  close(): Promise<void>;
}

/** The memory of a decoder's cache. */
export interface CacheSize {
  readonly blocks: number;
  /** Tokens in a block. */
  readonly blockTokens: number;
}

/** What an engine is and where it runs. */
export interface EngineInfo {
  readonly kind: "reference" | "cpu" | "gpu";
  /** The processor or the graphics card, in words. */
  readonly device: string;
  /** The type of the weights while the engine computes: "fp32", "fp16" or "int8". */
  readonly dtype: string;
}

/**
 * Computes models. All engines give the same vectors and tokens for the golden cases, each within its precision. If
 * loading fails, it leaves no memory, thread or process behind.
 */
export interface Engine {
  readonly info: EngineInfo;
  /**
   * Loads an encoder.
   * @throws TesseraError DEPENDENCY_MISSING if the engine cannot run on this machine; MISSING_CAPABILITY if it computes
   * no encoders; MODEL_FAILED.
   */
  loadEncoder(model: EncoderModel): Promise<EncoderSession>;
  /**
   * Loads a decoder with its own cache.
   * @throws TesseraError DEPENDENCY_MISSING if the engine cannot run on this machine; MISSING_CAPABILITY if it computes
   * no decoders; MODEL_FAILED.
   */
  loadDecoder(model: DecoderModel, cache: CacheSize): Promise<DecoderSession>;
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
