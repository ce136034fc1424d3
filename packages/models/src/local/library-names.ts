// internal: ModelLibrary, libraryOf, openLibraryEncoder, openReranker
import { type Reranker, TesseraError } from "@tessera/core";
import { openCrossEncoder } from "../architectures/cross-encoder.js";
import { isGguf } from "../formats/gguf.js";
import { findModel } from "../tools/catalogue.js";
import { openLlamaCppEncoder } from "./llama-cpp-encoder.js";
import type { LocalEncoder } from "./one-space.js";
import { openTransformersEncoder } from "./transformers-encoder.js";
import { openTransformersReranker } from "./transformers-reranker.js";

/** Libraries that compute models beside our engines. */
const libraries = ["llama.cpp", "transformers.js"] as const;
export type ModelLibrary = (typeof libraries)[number];

/** "llama.cpp:model.gguf": the library before the colon, where one is named, and the name or path of the model. */
export function libraryOf(name: string): { readonly library?: ModelLibrary; readonly place: string } {
  const library = libraries.find((one) => name.startsWith(`${one}:`));
  return library ? { library, place: name.slice(library.length + 1) } : { place: name };
}

/**
 * The encoder that a library computes, by the name or path of its file or folder.
 * @throws TesseraError UNKNOWN_RESOURCE; else as `openLlamaCppEncoder` and `openTransformersEncoder`
 */
export async function openLibraryEncoder(library: ModelLibrary, place: string): Promise<LocalEncoder> {
  const path = await findModel(place);
  if (library === "llama.cpp") return openLlamaCppEncoder({ file: path });
  return openTransformersEncoder({ folder: path });
}

/**
 * The cross-encoder of a folder, by our CPU engine, or of "transformers.js:<folder>" by that library.
 * @throws TesseraError UNKNOWN_RESOURCE, MISSING_CAPABILITY; else as `openCrossEncoder` and `openTransformersReranker`
 */
export async function openReranker(name: string): Promise<Reranker & { close(): Promise<void> }> {
  const { library, place } = libraryOf(name);
  const path = await findModel(place);
  if (library === "llama.cpp" || isGguf(path))
    throw new TesseraError("MISSING_CAPABILITY", "a GGUF file is no cross-encoder here", {
      path: name,
      hint: "name a folder, or transformers.js:<folder>",
    });
  return library === undefined ? openCrossEncoder(path) : openTransformersReranker({ folder: path });
}
