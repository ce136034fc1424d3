// internal: openEncoderModel, openDecoderModel
import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import type { Architecture, ModelKind } from "../architectures/architecture.js";
import type { DecoderModel } from "../architectures/decoder.js";
import type { EncoderModel } from "../architectures/encoder.js";
import { architectureOf } from "../architectures/registry.js";
import { bundleCheckpoint } from "./bundle.js";
import type { Checkpoint } from "./checkpoint.js";
import { isGguf } from "./gguf.js";
import { ggufCheckpoint } from "./gguf-checkpoint.js";
import { huggingFaceCheckpoint } from "./hugging-face.js";
import { readJson } from "./json-file.js";
import type { TokenizerDocument } from "./tokenizer-document.js";

/**
 * The checkpoint at a path, in whichever format it is: our bundle, a folder of the Hugging Face layout, or a GGUF file. Weights are not
 * read yet.
 * @throws TesseraError BAD_BUNDLE
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  if (isGguf(path)) return ggufCheckpoint(path);
  const { value, hash } = await readJson(join(path, "config.json"));
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new TesseraError("BAD_BUNDLE", "the config is no object", { path: join(path, "config.json") });
  const config = value as Readonly<Record<string, unknown>>;
  return config.format === "tessera-bundle"
    ? bundleCheckpoint(path, config)
    : huggingFaceCheckpoint(path, { value: config, hash });
}

/**
 * The encoder at a path, of any format and architecture that is read.
 * @throws TesseraError BAD_BUNDLE; MISSING_CAPABILITY where it is a decoder
 */
export async function openEncoderModel(path: string): Promise<EncoderModel> {
  return encoderOf(await openCheckpoint(path));
}

/**
 * The same with its tokenizer.
 * @throws TesseraError as `openEncoderModel`; BAD_BUNDLE where there is no tokenizer
 */
export async function openEncoderFiles(path: string): Promise<{ model: EncoderModel; tokenizer: TokenizerDocument }> {
  const checkpoint = await openCheckpoint(path);
  return { model: await encoderOf(checkpoint), tokenizer: await checkpoint.tokenizer() };
}

async function encoderOf(checkpoint: Checkpoint): Promise<EncoderModel> {
  const architecture = architectureOf(checkpoint, "encoder");
  if (architecture.kind === "encoder") return architecture.read(checkpoint);
  throw otherKind(architecture, checkpoint, "encodes no texts");
}

/**
 * The decoder at a path, of any format and architecture that is read.
 * @throws TesseraError BAD_BUNDLE; MISSING_CAPABILITY where it is an encoder
 */
export async function openDecoderModel(path: string): Promise<DecoderModel> {
  const checkpoint = await openCheckpoint(path);
  const architecture = architectureOf(checkpoint);
  if (architecture.kind === "decoder") return architecture.read(checkpoint);
  throw otherKind(architecture, checkpoint, "writes no text");
}

/**
 * What the model at a path computes, by its config, and by whether it has the files of sentence-transformers where a body may
 * be either.
 * @throws TesseraError BAD_BUNDLE
 */
export async function kindOfCheckpoint(path: string): Promise<ModelKind> {
  const checkpoint = await openCheckpoint(path);
  const encodes = (await checkpoint.json("modules.json")) !== undefined;
  return architectureOf(checkpoint, encodes ? "encoder" : "decoder").kind;
}

const otherKind = ({ kind }: Architecture, { type, path }: Checkpoint, lacks: string): TesseraError =>
  new TesseraError("MISSING_CAPABILITY", `${type} is ${kind === "encoder" ? "an encoder" : "a decoder"}: it ${lacks}`, {
    path,
  });
