// public: write
// internal: embed, isProse
import {
  type Embedding,
  type Encoder,
  number,
  operator,
  type Passage,
  passages,
  type Store,
  TesseraError,
} from "@tessera/core";
import { embeddedText } from "@tessera/core/internal";
import { z } from "zod";
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

/** The settings that name a store, and the encoder where it is one of vectors. */
export const storeSettings = {
  store: z.string(),
  encoder: z.string().optional(),
  exit: z.int().positive().optional(),
  width: z.int().positive().optional(),
};

function documentsOf(list: readonly Passage[]): { path: string; ids: string[] }[] {
  const ids = new Map<string, string[]>();
  for (const { id, source } of list) {
    const path = source?.path ?? "";
    const known = ids.get(path);
    if (known) known.push(id);
    else ids.set(path, [id]);
  }
  return [...ids].map(([path, ids]) => ({ path, ids }));
}

/**
 * Writes passages into a store, with their vectors where an encoder is named. `documents` says which passages each document
 * has now; those of no document count as one of the path "".
 */
export const write = operator({
  name: "indexer.write",
  version: 2,
  about: {
    module: "indexing",
    submodule: "structure organisation",
    summary: "Writes passages into a store, with vectors where an encoder is named.",
  },
  config: z.strictObject({
    ...storeSettings,
    batch: z.int().positive().default(32),
  }),
  ports: {
    input: { passages },
    output: { written: number, documents: z.array(z.object({ path: z.string(), ids: z.array(z.string()) })) },
  },
  effects: "write",
  async setup({ store: resource, encoder: model, ...embedding }, host) {
    const store = await host.resource<Store>("store", resource);
    const encoder = model === undefined ? undefined : await host.resource<Encoder>("encoder", model);
    assertSpace(store, encoder, embedding, resource);
    return async ({ passages: list }, { signal, idempotencyKey }) => {
      const vectors = encoder && (await embed(encoder, list, { ...embedding, signal }));
      signal.throwIfAborted();
      await store.upsert(list, vectors, { idempotencyKey });
      return { written: list.length, documents: documentsOf(list) };
    };
  },
});
