// public: OpenedStore, openVectorStore, loadVectorStore, VectorSpace
import { TesseraError } from "@tessera/core";
import { ExactStore } from "./exact.js";
import { type HnswSettings, HnswStore } from "./hnsw.js";
import type { VectorSpace } from "./vectors.js";

export type { VectorSpace } from "./vectors.js";

/** The vector store that was opened, and why it is of that kind. */
export interface OpenedStore {
  readonly store: HnswStore | ExactStore;
  readonly kind: "hnsw" | "exact";
  /** Why this kind was chosen, in one line. */
  readonly reason: string;
}

const exactly = (error: unknown): string => {
  if (!TesseraError.is(error) || error.code !== "DEPENDENCY_MISSING") throw error;
  return `every vector is compared: ${error.message}`;
};
const onGraph = "vectors are searched on a graph by hnswlib-node";

/** Opens an empty vector store: with a graph if hnswlib-node can be loaded, otherwise exact. */
export async function openVectorStore(space: VectorSpace, settings: HnswSettings = {}): Promise<OpenedStore> {
  try {
    return { store: await HnswStore.open(space, settings), kind: "hnsw", reason: onGraph };
  } catch (error) {
    return { reason: exactly(error), store: new ExactStore(space), kind: "exact" };
  }
}

/**
 * Opens the saved index of a vector store of any kind, as the best kind that runs here.
 * @throws TesseraError INDEX_MISSING, INDEX_CORRUPT, STORE_FAILED
 */
export async function loadVectorStore(folder: string, settings: HnswSettings = {}): Promise<OpenedStore> {
  try {
    return { store: await HnswStore.load(folder, settings), kind: "hnsw", reason: onGraph };
  } catch (error) {
    return { reason: exactly(error), store: await ExactStore.load(folder), kind: "exact" };
  }
}
