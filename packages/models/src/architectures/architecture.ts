import type { Checkpoint } from "../formats/checkpoint.js";
import type { DecoderModel } from "./decoder.js";
import type { EncoderModel } from "./encoder.js";

/** What a model computes: vectors of texts, or the next tokens of a text. */
export type ModelKind = "encoder" | "decoder";

/** What the tensors of one family of checkpoints mean, whatever file they came from. */
interface ArchitectureOf<Kind extends ModelKind, Model> {
  readonly kind: Kind;
  /** The values of `model_type` in config.json (of `architecture` in our bundles) that it reads. */
  readonly types: readonly string[];
  /** Tells a family by its config where the type alone does not. */
  readonly recognises?: ((config: Checkpoint["config"]) => boolean) | undefined;
  /**
   * Checks the config before it asks for the weights, and takes every tensor by name and shape.
   * @throws TesseraError BAD_BUNDLE with the file, and the field or the tensor
   */
  read(checkpoint: Checkpoint): Promise<Model>;
}

export type EncoderArchitecture = ArchitectureOf<"encoder", EncoderModel>;
export type DecoderArchitecture = ArchitectureOf<"decoder", DecoderModel>;
export type Architecture = EncoderArchitecture | DecoderArchitecture;
