// public: write
import { type Encoder, number, operator, type Passage, passages, type Store } from "@tessera/core";
import { z } from "zod";
import { assertSpace, embed } from "./embed.js";

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
