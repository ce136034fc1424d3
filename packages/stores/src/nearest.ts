// public: OpenedStore, openVectorStore, loadVectorStore, VectorSpace, VectorStoreSettings
import { TesseraError } from "@tessera/core";
import { ExactStore } from "./exact.js";
import { type HnswSettings, HnswStore } from "./hnsw.js";
import type { LoadSettings } from "./passage-table.js";
import type { VectorSpace } from "./vectors.js";

export type { VectorSpace } from "./vectors.js";

/** The vector store that was opened, and why it is of that kind. */
export interface OpenedStore {
  readonly store: HnswStore | ExactStore;
  readonly kind: "hnsw" | "exact";
  /** Why this kind was chosen, in one line. */
  readonly reason: string;
  /** Whether another kind was wanted and could not be opened here. */
  readonly isFallback: boolean;
}

const exactly = (error: unknown): string => {
  if (!TesseraError.is(error) || error.code !== "DEPENDENCY_MISSING") throw error;
  return `every vector is compared: ${error.message}`;
};
const onGraph = "vectors are searched on a graph by hnswlib-node";

/** How a vector store is opened. */
export interface VectorStoreSettings extends HnswSettings, LoadSettings {
  /**
   * Up to how many passages every vector is compared, and no graph is kept; none by default. A graph takes more room on
   * disk than the vectors, and saves time from some ten thousand passages on.
   */
  readonly exactUpTo?: number;
}

const few = "every vector is compared, as there are few";

/**
 * Opens an empty vector store: with a graph if hnswlib-node can be loaded, otherwise exact. `expected` is how many passages
 * it will hold, as far as that is known.
 */
export async function openVectorStore(
  space: VectorSpace,
  settings: VectorStoreSettings & { readonly expected?: number } = {},
): Promise<OpenedStore> {
  const { exactUpTo = 0, expected = 0 } = settings;
  if (exactUpTo > 0 && expected <= exactUpTo)
    return { store: new ExactStore(space), kind: "exact", reason: few, isFallback: false };
  try {
    return { store: await HnswStore.open(space, settings), kind: "hnsw", reason: onGraph, isFallback: false };
  } catch (error) {
    return { reason: exactly(error), store: new ExactStore(space), kind: "exact", isFallback: true };
  }
}

/**
 * Opens the saved index of a vector store of any kind, as the best kind that runs here.
 * @throws TesseraError INDEX_MISSING, INDEX_CORRUPT, STORE_FAILED
 */
export async function loadVectorStore(folder: string, settings: VectorStoreSettings = {}): Promise<OpenedStore> {
  const { exactUpTo = 0 } = settings;
  if (exactUpTo > 0) {
    const store = await ExactStore.load(folder, settings);
    if (store.size <= exactUpTo) return { store, kind: "exact", reason: few, isFallback: false };
  }
  try {
    return { store: await HnswStore.load(folder, settings), kind: "hnsw", reason: onGraph, isFallback: false };
  } catch (error) {
    return { reason: exactly(error), store: await ExactStore.load(folder, settings), kind: "exact", isFallback: true };
  }
}
