import type { Tensor } from "./safetensors.js";
import type { StoredWeights } from "./stored-weights.js";
import type { TokenizerDocument } from "./tokenizer-document.js";

/** What a model's files hold, before any of it has a meaning. A format makes it; an architecture reads it. */
export interface Checkpoint {
  /** The folder or the file. */
  readonly path: string;
  /** A bundle's own name; else the last part of the path. */
  readonly name: string;
  /** Where the config stands, for errors. */
  readonly configPath: string;
  /** In the fields of config.json of the model's library, or of our bundles. */
  readonly config: Readonly<Record<string, unknown>>;
  /** `model_type` of the config, or `architecture` of a bundle; undefined where the config names none. */
  readonly type: string | undefined;
  /**
   * Reads the weights: they are the expensive part, so an architecture checks the config first.
   * @throws TesseraError BAD_BUNDLE with the file and the tensor
   */
  weights(): Promise<Weights>;
  /**
   * Finds the weights, and leaves them in their files: an engine reads tensor by tensor. Absent where a format cannot.
   * @throws TesseraError BAD_BUNDLE with the file and the tensor
   */
  stored?(): Promise<StoredWeights>;
  /**
   * Another JSON file beside the config, such as "1_Pooling/config.json"; undefined where there is none.
   * @throws TesseraError BAD_BUNDLE where it is no JSON
   */
  json(file: string): Promise<unknown>;
  /**
   * The tokenizer as a tokenizer.json.
   * @throws TesseraError BAD_BUNDLE where there is none
   */
  tokenizer(): Promise<TokenizerDocument>;
}

export interface Weights {
  /** Where they lie, for errors. */
  readonly folder: string;
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** 16 hex digits, which change with the config and with any weight. */
  readonly revision: string;
}
