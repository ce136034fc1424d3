// public: ExactStore
import type { ChangeOptions, Hit, Passage, StoreQuery } from "@tessera/core";
import { assertTop, type LoadSettings, type SaveSettings } from "./passage-table.js";
import { VectorStore } from "./vector-store.js";
import { type VectorSpace, Vectors } from "./vectors.js";

/**
 * The nearest passages by cosine. Every vector is compared, so the result is exact; fast enough for some ten thousand
 * passages. Vectors have unit length and 4 bytes for each component.
 */
export class ExactStore extends VectorStore {
  /** @throws TesseraError BAD_ARGUMENT */
  constructor(space: VectorSpace) {
    super(Vectors.empty("store.exact", space));
  }

  /** @throws TesseraError SPACE_MISMATCH, BAD_ARGUMENT, CLOSED */
  async search(query: StoreQuery, signal?: AbortSignal): Promise<Hit[]> {
    this.vectors.table.assertOpen();
    signal?.throwIfAborted();
    assertTop(query.top);
    return this.vectors.exact(this.vectors.unit(query.vector, "vector"), query);
  }

  /** @throws TesseraError SPACE_MISMATCH, BAD_ARGUMENT, CLOSED */
  async upsert(passages: readonly Passage[], vectors?: readonly Float32Array[], how?: ChangeOptions): Promise<void> {
    this.vectors.table.assertOpen();
    const change = this.vectors.check(passages, vectors);
    if (passages.length === 0 || this.vectors.table.isMade(how)) return;
    for (const [index, passage] of passages.entries()) this.vectors.put(passage, change.units[index]!);
    this.vectors.note(change, how);
  }

  async delete(ids: readonly string[], how?: ChangeOptions): Promise<void> {
    const { table } = this.vectors;
    table.assertOpen();
    if (table.isMade(how)) return;
    const removed = ids.filter((id) => table.remove(id) !== undefined);
    table.note(removed.length > 0 ? ["delete", ...removed] : [], how);
  }

  /**
   * Writes the index into a folder, and replaces what was saved there.
   * @throws TesseraError STORE_FAILED
   */
  async save(folder: string, how?: SaveSettings): Promise<void> {
    this.vectors.table.assertOpen();
    await this.vectors.save(folder, how);
  }

  /**
   * Opens the saved index of a vector store of any kind.
   * @throws TesseraError INDEX_MISSING, INDEX_CORRUPT, STORE_FAILED
   */
  static async load(folder: string, given?: LoadSettings): Promise<ExactStore> {
    const { vectors } = await Vectors.load(folder, "store.exact", given);
    const store = new ExactStore(vectors);
    store.vectors = vectors;
    return store;
  }
}
