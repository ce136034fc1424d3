// internal: embed, isProse
import { type Embedding, type Encoder, type Passage, type Store, TesseraError } from "@tessera/core";
import { embeddedText } from "@tessera/core/internal";
import { languageOf } from "./languages.js";

/** Whether a passage is prose: of no programming language, by its metadata or else by the name of its file. */
export const isProse = ({ metadata, source }: Passage): boolean => {
  const { language = source && languageOf(source.path) } = metadata;
  return language === undefined || language === "markdown" || language === "text";
};

/** Vectors of passages, in order and in batches; code and prose are encoded each as its kind. */
export async function embed(
  encoder: Encoder,
  list: readonly Passage[],
  {
    batch,
    signal,
    done,
    ...embedding
  }: {
    readonly batch: number;
    readonly exit?: number | undefined;
    readonly width?: number | undefined;
    readonly signal?: AbortSignal | undefined;
    readonly done?: (count: number) => void;
  },
): Promise<Float32Array[]> {
  const vectors: Float32Array[] = new Array(list.length);
  let count = 0;
  for (const kind of ["code", "text"] as const) {
    const order = [...list.keys()].filter((index) => isProse(list[index]!) === (kind === "text"));
    for (let from = 0; from < order.length; from += batch) {
      signal?.throwIfAborted();
      const part = order.slice(from, from + batch);
      const encoded = await encoder.encode(
        part.map((index) => embeddedText(list[index]!)),
        { ...embedding, kind },
        signal,
      );
      for (const [at, index] of part.entries()) vectors[index] = encoded[at]!;
      count += part.length;
      done?.(count);
    }
  }
  return vectors;
}

/** @throws TesseraError SPACE_MISMATCH where a store holds another vector space than an encoder gives. */
export function assertSpace(store: Store, encoder: Encoder | undefined, embedding: Embedding, path: string): void {
  const space = encoder?.space(embedding);
  if (space === undefined || store.space === undefined || store.space === space) return;
  throw new TesseraError("SPACE_MISMATCH", `the store holds ${store.space}, and the encoder gives ${space}`, {
    path,
    hint: "index into a new store, or use the encoder and the width that the store was made with",
  });
}
