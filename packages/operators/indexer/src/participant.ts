// internal: storeFolder, storeParticipant
import { join } from "node:path";
import type { Embedding, Encoder, MaybePromise, Passage, Store } from "@tessera/core";
import type { Participant } from "./codebase.js";
import { assertSpace, embed } from "./embed.js";

/** A store that can be kept in a folder. */
export interface SavedStore extends Store {
  /** Where it can, it leaves the passages out, and rounds vectors to a byte: the index has the passages, and is to be small. */
  save(folder: string, how: { readonly passages: "none"; readonly bytes: 1 }): Promise<void>;
  /** The vectors that it holds of these passages, by id; without this they are computed again. */
  vectorsOf?(ids: readonly string[]): ReadonlyMap<string, Float32Array>;
}

interface StoreParticipantSettings {
  /** The name of its folder in the index: "sparse", "dense". */
  readonly name: string;
  /** Changes when what was saved is of no more use; the encoder's revision and space are added to it. */
  readonly revision?: string;
  /** @param expected how many passages it will hold */
  create(expected: number): MaybePromise<SavedStore>;
  /** @param passages those of the index, as it was saved */
  load(folder: string, passages: readonly Passage[]): Promise<SavedStore>;
  /** For a store of vectors. */
  readonly encoder?: Encoder | undefined;
  readonly embedding?: Embedding | undefined;
  /** Passages that are encoded, and written, at once; 32. */
  readonly batch?: number | undefined;
}

/** The folder of the store itself, within the folder that its participant has in an index. */
export const storeFolder = (participantFolder: string): string => join(participantFolder, "store");

/**
 * Keeps a store beside the passages of a codebase, so that both are always of the same generation. Only passages with new
 * words are encoded; the vectors of those that moved are taken from the store as it was.
 * @throws TesseraError SPACE_MISMATCH where the store holds another vector space than the encoder's.
 */
export function storeParticipant(settings: StoreParticipantSettings): Participant {
  const { name, revision = "", create, load, encoder, embedding = {}, batch = 32 } = settings;
  return {
    name,
    revision: [revision, encoder?.revision ?? "", encoder?.space(embedding) ?? ""].join("|"),
    async write({ folder, previous, before, added, changed, moved, removed, signal, progress }) {
      const store = await (previous === undefined ? create(added.length) : load(storeFolder(previous), before()));
      try {
        assertSpace(store, encoder, embedding, name);
        const vectors = new Map(encoder ? store.vectorsOf?.(moved.map(({ id }) => id)) : []);
        await store.delete(removed);
        const list = [...added, ...changed, ...moved];
        for (let from = 0; from < list.length; from += batch) {
          signal?.throwIfAborted();
          const part = list.slice(from, from + batch);
          if (encoder) await fill(vectors, part, encoder, embedding, signal);
          await store.upsert(part, encoder && part.map(({ id }) => vectors.get(id)!));
          progress(Math.min(from + batch, list.length), list.length);
        }
        await store.save(storeFolder(folder), { passages: "none", bytes: 1 });
      } finally {
        await store.close?.();
      }
    },
  };
}

async function fill(
  vectors: Map<string, Float32Array>,
  part: readonly Passage[],
  encoder: Encoder,
  embedding: Embedding,
  signal: AbortSignal | undefined,
): Promise<void> {
  const fresh = part.filter(({ id }) => !vectors.has(id));
  const encoded = await embed(encoder, fresh, { ...embedding, batch: fresh.length || 1, signal });
  for (const [index, { id }] of fresh.entries()) vectors.set(id, encoded[index]!);
}
