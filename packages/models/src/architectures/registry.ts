import { TesseraError } from "@tessera/core";
import type { Checkpoint } from "../formats/checkpoint.js";
import { bert } from "./bert.js";
import type { DecoderModel } from "./decoder.js";
import type { EncoderModel } from "./encoder.js";
import { jetMoe } from "./jetmoe.js";
import { llama } from "./llama.js";
import { mixtral, olmoe } from "./mixtures.js";
import { modularStarEncoder } from "./modular-star-encoder.js";
import { moduleFormer } from "./module-former.js";
import { tesseraBertExits } from "./tessera-bert-exits.js";
import { tesseraDecoder } from "./tessera-decoder.js";
import { tesseraEncoder } from "./tessera-encoder.js";

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

/** All that are read. Another one is a file in this folder and a line here. */
export const architectures: readonly Architecture[] = [
  tesseraEncoder,
  tesseraBertExits,
  tesseraDecoder,
  bert,
  modularStarEncoder,
  moduleFormer,
  llama,
  mixtral,
  olmoe,
  jetMoe,
];

/**
 * The architecture of a checkpoint, by its config alone.
 * @throws TesseraError BAD_BUNDLE for a type that is not read; the message names those that are
 */
export function architectureOf({ config, type, configPath }: Checkpoint): Architecture {
  const found =
    architectures.find(({ recognises }) => recognises?.(config)) ??
    architectures.find(({ types }) => type !== undefined && types.includes(type));
  if (found) return found;
  const read = architectures.flatMap(({ types }) => types).sort();
  throw new TesseraError(
    "BAD_BUNDLE",
    type === undefined
      ? `the config names no model_type; read are ${read.join(", ")}`
      : `model_type ${JSON.stringify(type.slice(0, 60))} is not read; read are ${read.join(", ")}`,
    {
      path: configPath,
      hint: "convert the model to one of these, or ask an endpoint that runs it (docs/models/checkpoints.md)",
    },
  );
}
