// public: OpenedStore, openVectorStore, loadVectorStore, VectorSpace
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { ExactStore } from "./exact.js";
import { type HnswSettings, HnswStore } from "./hnsw.js";
import type { VectorSpace } from "./vectors.js";

export type { VectorSpace } from "./vectors.js";

/** The vector store that was opened, and why it is of that kind. */
export interface OpenedStore {
  readonly store: HnswStore | ExactStore;
  readonly kind: "hnsw" | "exact";
  /** Why it is this kind, in one line for people. */
  readonly reason: string;
}

const exactly = (error: unknown): string => {
  if (!TesseraError.is(error) || error.code !== "DEPENDENCY_MISSING") throw error;
  const cause = error.cause === undefined ? "" : ` (${messageOf(error.cause).split("\n")[0]})`;
  return `every vector is compared: ${error.message}${cause}`;
};
const onGraph = "vectors are searched on a graph by hnswlib-node";

/** An empty vector store: on a graph where hnswlib-node can be loaded, exact where it cannot. */
export async function openVectorStore(space: VectorSpace, settings: HnswSettings = {}): Promise<OpenedStore> {
  try {
    return { store: await HnswStore.open(space, settings), kind: "hnsw", reason: onGraph };
  } catch (error) {
    return { reason: exactly(error), store: new ExactStore(space), kind: "exact" };
  }
}

/**
 * What a vector store saved in a folder, whichever kind it was, as the best kind that runs here.
 * @throws TesseraError INDEX_MISSING, INDEX_CORRUPT, STORE_FAILED
 */
export async function loadVectorStore(folder: string, settings: HnswSettings = {}): Promise<OpenedStore> {
  try {
    return { store: await HnswStore.load(folder, settings), kind: "hnsw", reason: onGraph };
  } catch (error) {
    return { reason: exactly(error), store: await ExactStore.load(folder), kind: "exact" };
  }
}
