import { TesseraError } from "@tessera/core";
import type { Checkpoint } from "../formats/checkpoint.js";
import type { Architecture, ModelKind } from "./architecture.js";
import { bert } from "./bert.js";
import { jetMoe } from "./jetmoe.js";
import { llama } from "./llama.js";
import { mixtral, olmoe } from "./mixtures.js";
import { modernBert } from "./modern-bert.js";
import { modularStarEncoder } from "./modular-star-encoder.js";
import { moduleFormer } from "./module-former.js";
import { qwen3Encoder } from "./qwen3-encoder.js";
import { staticTable } from "./static-table.js";
import { tesseraBertExits } from "./tessera-bert-exits.js";
import { tesseraDecoder } from "./tessera-decoder.js";
import { tesseraEncoder } from "./tessera-encoder.js";

/** All that are read. Another one is a file in this folder and a line here. */
export const architectures: readonly Architecture[] = [
  tesseraEncoder,
  tesseraBertExits,
  tesseraDecoder,
  bert,
  modernBert,
  qwen3Encoder,
  staticTable,
  modularStarEncoder,
  moduleFormer,
  llama,
  mixtral,
  olmoe,
  jetMoe,
];

/**
 * The architecture of a checkpoint, by its config alone. Where a type is an encoder's and a decoder's, `kind` says which is
 * meant; the decoder where it says nothing.
 * @throws TesseraError BAD_BUNDLE for a type that is not read; the message names those that are
 */
export function architectureOf({ config, type, configPath }: Checkpoint, kind: ModelKind = "decoder"): Architecture {
  const ofType = architectures.filter(({ types }) => type !== undefined && types.includes(type));
  const found =
    architectures.find(({ recognises }) => recognises?.(config)) ??
    ofType.find((one) => one.kind === kind) ??
    ofType[0];
  if (found) return found;
  const read = [...new Set(architectures.flatMap(({ types }) => types))].sort();
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
