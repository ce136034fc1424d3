// internal: Vectors, openVectors, assertVectors, needsEngine
import { type Encoder, TesseraError } from "@tessera/core";
import type { Engine } from "../engines/engine.js";
import { libraryOf, type ModelLibrary, openLibraryEncoder } from "../local/library-names.js";
import type { LocalEncoder } from "../local/one-space.js";
import { findModel } from "../tools/catalogue.js";
import { type CodeEncoder, openCodeEncoder } from "./code-encoder.js";
import type { CorpusKind } from "./fusion-table.js";
import { HashEncoder } from "./hash.js";
import { indexEncoder } from "./index-encoder.js";
import { joinEncoders } from "./joined-encoder.js";

/** What makes the vectors of an index. */
export interface Vectors {
  /** The trained model by itself, with its exits and widths; undefined for hash features alone. */
  readonly model: CodeEncoder | undefined;
  /** Whether hash features, which are fitted to the passages of an index, are part of it. */
  readonly usesHash: boolean;
  /** The encoder of an index, over its hash features where it has some. */
  encoderOver(hash: HashEncoder | undefined, kind: CorpusKind): Encoder;
  /** Components of the index's vectors. */
  widthOver(hash: HashEncoder | undefined): number;
  close(): Promise<void>;
}

/**
 * The share of a model in the score of "hash+<model>", by the embedding of its first exit; chosen on the development
 * repositories of the mine (docs/models/encoder.md).
 */
const share = 0.3;
const sharedWidth = 128;

/** "hash+code-encoder@4": whether hash features are a part, the library that computes, the model's name or path, and the exit of an index. */
function partsOf(name: string): {
  usesHash: boolean;
  library: ModelLibrary | undefined;
  place: string;
  exit: number | undefined;
} {
  const usesHash = name.startsWith("hash+");
  const { library, place: named } = libraryOf(usesHash ? name.slice("hash+".length) : name);
  const [, place, layer] = /^(.*?)(?:@(\d+))?$/s.exec(named)!;
  return { usesHash, library, place: place!, exit: layer === undefined ? undefined : Number(layer) };
}

/**
 * Whether there is such a model, before an engine is chosen for it.
 * @throws TesseraError UNKNOWN_RESOURCE
 */
export async function assertVectors(name = "hash"): Promise<void> {
  if (name !== "hash") await findModel(partsOf(name).place);
}

/** Whether one of our engines computes the encoder of a name. */
export const needsEngine = (name = "hash"): boolean => name !== "hash" && partsOf(name).library === undefined;

/**
 * What a name stands for: "hash"; a model by its name, or by the path of its folder or file, with "@<layer>" behind it for
 * an index of that exit; "llama.cpp:<file>" or "transformers.js:<folder>" for a model that such a library computes; or
 * "hash+<model>" for both in one vector.
 * @throws TesseraError UNKNOWN_RESOURCE, BAD_BUNDLE; BAD_ARGUMENT for an exit that the model does not have
 */
export async function openVectors(name = "hash", engine?: Engine): Promise<Vectors> {
  if (name === "hash")
    return {
      model: undefined,
      usesHash: true,
      encoderOver: (hash) => hash ?? new HashEncoder(),
      widthOver: (hash) => (hash ?? new HashEncoder()).width,
      close: async () => {},
    };
  const { usesHash, library, place, exit } = partsOf(name);
  if (library) return vectorsBy(await openLibraryEncoder(library, place), { usesHash, exit });
  const model = await openCodeEncoder(await findModel(place), engine);
  try {
    if (exit !== undefined) model.space({ exit });
  } catch (error) {
    await model.close();
    throw error;
  }
  const width = Math.min(sharedWidth, model.model.hidden);
  const joined = (hash: HashEncoder): Encoder =>
    joinEncoders([
      { encoder: hash, share: 1 - share },
      { encoder: model, share, embedding: { exit: exit ?? model.model.exits[0]!.layer, width } },
    ]);
  return {
    model,
    usesHash,
    encoderOver: (hash, kind) => (usesHash ? joined(hash ?? new HashEncoder()) : indexEncoder(model, kind, exit)),
    widthOver: (hash) => (usesHash ? (hash ?? new HashEncoder()).width + width : model.model.hidden),
    close: () => model.close(),
  };
}

/** Vectors of an encoder of another library, which has one exit and one width. */
async function vectorsBy(
  encoder: LocalEncoder,
  { usesHash, exit }: { readonly usesHash: boolean; readonly exit: number | undefined },
): Promise<Vectors> {
  if (exit !== undefined) {
    await encoder.close();
    throw new TesseraError("BAD_ARGUMENT", `"${encoder.name}" has no exits there`, {
      path: encoder.name,
      hint: `leave @${exit} out, or let our own engine compute the model`,
    });
  }
  const joined = (hash: HashEncoder): Encoder =>
    joinEncoders([
      { encoder: hash, share: 1 - share },
      { encoder, share },
    ]);
  return {
    model: undefined,
    usesHash,
    encoderOver: (hash) => (usesHash ? joined(hash ?? new HashEncoder()) : encoder),
    widthOver: (hash) => encoder.width + (usesHash ? (hash ?? new HashEncoder()).width : 0),
    close: () => encoder.close(),
  };
}
