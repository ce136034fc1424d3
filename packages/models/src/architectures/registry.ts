import { TesseraError } from "@tessera/core";
import type { Checkpoint } from "../formats/checkpoint.js";
import type { Architecture } from "./architecture.js";
import { bert } from "./bert.js";
import { jetMoe } from "./jetmoe.js";
import { llama } from "./llama.js";
import { mixtral, olmoe } from "./mixtures.js";
import { modularStarEncoder } from "./modular-star-encoder.js";
import { moduleFormer } from "./module-former.js";
import { tesseraBertExits } from "./tessera-bert-exits.js";
import { tesseraDecoder } from "./tessera-decoder.js";
import { tesseraEncoder } from "./tessera-encoder.js";

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
