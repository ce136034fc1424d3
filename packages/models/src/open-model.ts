import { join } from "node:path";
import { readBundle, readJson } from "./bundle.js";
import { encoderModel } from "./encoder-bundle.js";
import type { EncoderModel } from "./encoder-model.js";
import { generatorModel } from "./generator-bundle.js";
import type { GeneratorModel } from "./generator-model.js";
import { isMolmConfig, readMolm } from "./molm.js";
import { isStarConfig, readStarEncoder } from "./star-encoder.js";

/**
 * The encoder in a folder, whichever of the two layouts it has: our bundle, or a Hugging Face checkpoint of ModularStarEncoder.
 * @throws TesseraError BAD_BUNDLE
 */
export async function openEncoderModel(folder: string): Promise<EncoderModel> {
  const { value } = await readJson(join(folder, "config.json"));
  return isStarConfig(value) ? readStarEncoder(folder) : encoderModel(await readBundle(folder));
}

/**
 * The generator in a folder, whichever of the two layouts it has: our bundle, or a checkpoint of MoLM.
 * @throws TesseraError BAD_BUNDLE
 */
export async function openGeneratorModel(folder: string): Promise<GeneratorModel> {
  const { value } = await readJson(join(folder, "config.json"));
  return isMolmConfig(value) ? readMolm(folder) : generatorModel(await readBundle(folder));
}
