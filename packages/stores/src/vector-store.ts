import type { ChangeOptions, Hit, Passage, Principal, Store, StoreQuery } from "@tessera/core";
import type { Vectors } from "./vectors.js";

/** What every store of passages and vectors in this process answers alike. */
export abstract class VectorStore implements Store {
  protected constructor(protected vectors: Vectors) {}

  get revision(): string {
    return this.vectors.table.revision;
  }

  get space(): string {
    return this.vectors.space;
  }

  get width(): number {
    return this.vectors.width;
  }

  /** How many passages it holds. */
  get size(): number {
    return this.vectors.table.size;
  }

  /** @throws TesseraError SPACE_MISMATCH, BAD_ARGUMENT, CLOSED */
  abstract search(query: StoreQuery, signal?: AbortSignal): Promise<Hit[]>;
  abstract upsert(passages: readonly Passage[], vectors?: readonly Float32Array[], how?: ChangeOptions): Promise<void>;
  abstract delete(ids: readonly string[], how?: ChangeOptions): Promise<void>;

  async get(ids: readonly string[], principal?: Principal): Promise<(Passage | undefined)[]> {
    return this.vectors.table.get(ids, principal);
  }

  /** The vector of each passage that it holds among these, by id, of length 1. */
  vectorsOf(ids: readonly string[]): Map<string, Float32Array> {
    const found = new Map<string, Float32Array>();
    for (const id of ids) {
      const slot = this.vectors.table.slotOf(id);
      if (slot !== undefined) found.set(id, this.vectors.row(slot).slice());
    }
    return found;
  }

  /** @throws TesseraError CLOSED */
  async check(): Promise<void> {
    this.vectors.table.assertOpen();
  }

  async close(): Promise<void> {
    this.vectors.table.close();
  }
}
