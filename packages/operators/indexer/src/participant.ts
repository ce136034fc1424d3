// internal: storeFolder, storeParticipant
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Embedding, Encoder, MaybePromise, Passage, Store } from "@tessera/core";
import type { Participant } from "./codebase.js";
import { assertSpace, embed } from "./embed.js";

/** A store that can be kept in a folder. */
export interface SavedStore extends Store {
  save(folder: string): Promise<void>;
}

interface StoreParticipantSettings {
  /** The name of its folder in the index: "sparse", "dense". */
  readonly name: string;
  /** Changes when what was saved is of no more use; the encoder's revision and space are added to it. */
  readonly revision?: string;
  create(): MaybePromise<SavedStore>;
  load(folder: string): Promise<SavedStore>;
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
 * words are encoded; the vectors of those that moved are taken from a copy that is kept for this, by id.
 * @throws TesseraError SPACE_MISMATCH where the store holds another vector space than the encoder's.
 */
export function storeParticipant(settings: StoreParticipantSettings): Participant {
  const { name, revision = "", create, load, encoder, embedding = {}, batch = 32 } = settings;
  return {
    name,
    revision: [revision, encoder?.revision ?? "", encoder?.space(embedding) ?? ""].join("|"),
    async write({ folder, previous, added, changed, moved, removed, signal, progress }) {
      const store = await (previous === undefined ? create() : load(storeFolder(previous)));
      try {
        assertSpace(store, encoder, embedding, name);
        const vectors = new Map(encoder && previous !== undefined ? await readVectors(previous) : []);
        await store.delete(removed);
        for (const id of removed) vectors.delete(id);
        for (const { id } of changed) vectors.delete(id);
        const list = [...added, ...changed, ...moved];
        for (let from = 0; from < list.length; from += batch) {
          signal?.throwIfAborted();
          const part = list.slice(from, from + batch);
          if (encoder) await fill(vectors, part, encoder, embedding, signal);
          await store.upsert(part, encoder && part.map(({ id }) => vectors.get(id)!));
          progress(Math.min(from + batch, list.length), list.length);
        }
        await store.save(storeFolder(folder));
        if (encoder) await writeVectors(folder, vectors);
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

async function writeVectors(folder: string, vectors: ReadonlyMap<string, Float32Array>): Promise<void> {
  const width = vectors.values().next().value?.length ?? 0;
  const rows = new Float32Array(vectors.size * width);
  let row = 0;
  for (const vector of vectors.values()) rows.set(vector, row++ * width);
  await writeFile(join(folder, "vectors.f32"), new Uint8Array(rows.buffer));
  await writeFile(join(folder, "vectors.json"), JSON.stringify({ width, ids: [...vectors.keys()] }));
}

/** The vectors by id; the files were checked against their checksums when the index was opened. */
async function readVectors(folder: string): Promise<[string, Float32Array][]> {
  const { width, ids } = JSON.parse(await readFile(join(folder, "vectors.json"), "utf8")) as {
    width: number;
    ids: string[];
  };
  const rows = new Float32Array(new Uint8Array(await readFile(join(folder, "vectors.f32"))).buffer);
  return ids.map((id, row) => [id, rows.subarray(row * width, (row + 1) * width)]);
}
