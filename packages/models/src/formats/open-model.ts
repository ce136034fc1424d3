// public: openDecoderModel
import { join } from "node:path";
import type { DecoderModel } from "../architectures/decoder.js";
import type { EncoderModel } from "../architectures/encoder.js";
import { readBundle, readJson } from "./bundle.js";
import { decoderModel } from "./decoder-bundle.js";
import { encoderModel } from "./encoder-bundle.js";
import { isStarConfig, readStarEncoder } from "./modular-star-encoder.js";
import { isMolmConfig, readMolm } from "./molm.js";

/**
 * The encoder in a folder, whichever of the two layouts it has: our bundle, or a Hugging Face checkpoint of ModularStarEncoder.
 * @throws TesseraError BAD_BUNDLE
 */
export async function openEncoderModel(folder: string): Promise<EncoderModel> {
  const { value } = await readJson(join(folder, "config.json"));
  return isStarConfig(value) ? readStarEncoder(folder) : encoderModel(await readBundle(folder));
}

/**
 * The decoder in a folder, whichever of the two layouts it has: our bundle, or a checkpoint of MoLM.
 * @throws TesseraError BAD_BUNDLE
 */
export async function openDecoderModel(folder: string): Promise<DecoderModel> {
  const { value } = await readJson(join(folder, "config.json"));
  return isMolmConfig(value) ? readMolm(folder) : decoderModel(await readBundle(folder));
}
