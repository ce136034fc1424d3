import type { Hit, Passage, Principal, Store, StoreQuery } from "@tessera/core";
import { assertTop } from "./shelf.js";
import { type VectorSpace, Vectors } from "./vectors.js";

/**
 * The nearest passages by cosine, found by comparing with every vector: always right, and fast enough for some ten
 * thousand passages. Vectors are kept at length 1, 4 bytes a component.
 */
export class ExactStore implements Store {
  #vectors: Vectors;

  /** @throws TesseraError BAD_ARGUMENT */
  constructor(space: VectorSpace) {
    this.#vectors = Vectors.empty("store.exact", space);
  }

  get revision(): string {
    return this.#vectors.shelf.revision;
  }

  get space(): string {
    return this.#vectors.space;
  }

  get width(): number {
    return this.#vectors.width;
  }

  /** How many passages it holds. */
  get size(): number {
    return this.#vectors.shelf.size;
  }

  /** @throws TesseraError SPACE_MISMATCH, BAD_ARGUMENT, CLOSED */
  async search(query: StoreQuery, signal?: AbortSignal): Promise<Hit[]> {
    this.#vectors.shelf.assertOpen();
    signal?.throwIfAborted();
    assertTop(query.top);
    return this.#vectors.exact(this.#vectors.unit(query.vector, "vector"), query);
  }

  async get(ids: readonly string[], principal?: Principal): Promise<(Passage | undefined)[]> {
    return this.#vectors.shelf.get(ids, principal);
  }

  /** @throws TesseraError SPACE_MISMATCH, BAD_ARGUMENT, CLOSED */
  async upsert(passages: readonly Passage[], vectors?: readonly Float32Array[]): Promise<void> {
    this.#vectors.shelf.assertOpen();
    const change = this.#vectors.check(passages, vectors);
    if (passages.length === 0) return;
    for (const [index, passage] of passages.entries()) this.#vectors.put(passage, change.units[index]!);
    this.#vectors.note(change);
  }

  async delete(ids: readonly string[]): Promise<void> {
    const { shelf } = this.#vectors;
    shelf.assertOpen();
    const removed = ids.filter((id) => shelf.remove(id) !== undefined);
    if (removed.length > 0) shelf.note(["delete", ...removed]);
  }

  /** @throws TesseraError CLOSED */
  async check(): Promise<void> {
    this.#vectors.shelf.assertOpen();
  }

  async close(): Promise<void> {
    this.#vectors.shelf.close();
  }

  /**
   * Writes the index into a folder, in place of what was saved there.
   * @throws TesseraError STORE_FAILED
   */
  async save(folder: string): Promise<void> {
    this.#vectors.shelf.assertOpen();
    await this.#vectors.save(folder);
  }

  /**
   * Opens what any vector store saved.
   * @throws TesseraError INDEX_MISSING, INDEX_CORRUPT, STORE_FAILED
   */
  static async load(folder: string): Promise<ExactStore> {
    const { vectors } = await Vectors.load(folder, "store.exact");
    const store = new ExactStore(vectors);
    store.#vectors = vectors;
    return store;
  }
}
