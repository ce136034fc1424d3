// public: HnswSettings, HnswStore
import { setImmediate } from "node:timers/promises";
import { type ChangeOptions, type Hit, type Passage, type StoreQuery, TesseraError } from "@tessera/core";
import { Graph } from "./graph.js";
import { assertTop, type LoadSettings, type SaveSettings, selective } from "./passage-table.js";
import { TopHeap } from "./top-heap.js";
import { VectorStore } from "./vector-store.js";
import { type VectorSpace, Vectors } from "./vectors.js";

/** How the graph is searched. */
export interface HnswSettings {
  /** How many candidates a search keeps. More candidates give better results and take longer. */
  readonly ef?: number;
}

/** Measured by `npm run bench -- dense`: recall@10 is at least 0.99 on 30,000 vectors of 256 components. */
const defaultEf = 128;
const ties = 16; // more than `top` that are looked at where the last places are equal
const sliceMs = 10; // milliseconds of adding before others get their turn

/**
 * The nearest passages by cosine, found on a graph (hnswlib; Malkov and Yashunin 2016). The result is approximate, and
 * fast for millions of passages. A second copy of the vectors, of unit length with 4 bytes for each component, makes
 * the scores exact. If a query may see few passages, or if the graph returns fewer than asked for, the vectors are
 * compared one by one.
 */
export class HnswStore extends VectorStore {
  #graph: Graph;
  readonly #ef: number;
  #writes: Promise<unknown> = Promise.resolve();

  private constructor(vectors: Vectors, graph: Graph, { ef = defaultEf }: HnswSettings) {
    if (!Number.isInteger(ef) || ef < 1)
      throw new TesseraError("BAD_ARGUMENT", `ef is a whole number above 0, not ${ef}`);
    super(vectors);
    this.#graph = graph;
    this.#ef = ef;
  }

  /** @throws TesseraError DEPENDENCY_MISSING where hnswlib-node cannot be loaded, BAD_ARGUMENT */
  static async open(space: VectorSpace, settings: HnswSettings = {}): Promise<HnswStore> {
    return new HnswStore(Vectors.empty("store.hnsw", space), await Graph.open(space.width), settings);
  }

  /**
   * Opens the saved index of a vector store of any kind. If it has no graph, one is built.
   * @throws TesseraError DEPENDENCY_MISSING, INDEX_MISSING, INDEX_CORRUPT, STORE_FAILED
   */
  static async load(folder: string, settings: HnswSettings & LoadSettings = {}): Promise<HnswStore> {
    const { vectors, graph: path } = await Vectors.load(folder, "store.hnsw", settings);
    const { end } = vectors.table;
    const store = new HnswStore(vectors, await Graph.open(vectors.width, end === 0 ? undefined : path), settings);
    if (store.#graph.isEmpty || store.#isWorn) await store.#rebuild();
    return store;
  }

  /**
   * Whether more than half of the graph was deleted. Its links lead past the few that are left, and a deleted slot that gets
   * another passage is not found as well as one that is added.
   */
  get #isWorn(): boolean {
    return this.#graph.count > 2 * this.vectors.table.size;
  }

  /** Makes a graph of what there is. Until it is ready, searches use the one before. */
  async #rebuild(): Promise<void> {
    const { table, width } = this.vectors;
    const graph = await Graph.open(width);
    const pause = this.#pause();
    for (let slot = 0; slot < table.end && !graph.failed; slot++) {
      if (!table.at(slot)) continue;
      change(graph, () => graph.add(slot, this.vectors.row(slot)));
      await pause();
    }
    this.#graph = graph;
  }

  /** @throws TesseraError SPACE_MISMATCH, BAD_ARGUMENT, CLOSED */
  async search(query: StoreQuery, signal?: AbortSignal): Promise<Hit[]> {
    const { table } = this.vectors;
    table.assertOpen();
    signal?.throwIfAborted();
    const { top, filter, principal } = query;
    assertTop(top);
    const unit = this.vectors.unit(query.vector, "vector");
    const open = filter === undefined && table.unrestricted;
    const admission = open ? undefined : table.admission(filter, principal);
    const few = admission
      ? admission.slots || this.vectors.admitted(admission, query) < selective
      : table.size < selective * table.end; // a graph of mostly deleted passages leads past the few that are left
    if (few) return this.vectors.exact(unit, query, admission);

    const { slots, distances } = this.#near(unit, {
      count: top + ties,
      ef: this.#ef,
      admits: admission?.admits,
    });
    if (slots.length < Math.min(top, table.size)) return this.vectors.exact(unit, query, admission);
    const best = new TopHeap(top, table.idAt);
    for (let i = 0; i < slots.length && (i < top || distances[i] === distances[top - 1]); i++)
      best.offer(slots[i]!, this.vectors.cosine(slots[i]!, unit));
    return table.hits(best.ranked());
  }

  /** What the graph finds; nothing where it failed: then every vector is compared. */
  #near(...search: Parameters<Graph["near"]>): ReturnType<Graph["near"]> {
    if (!this.#graph.failed)
      try {
        return this.#graph.near(...search);
      } catch (error) {
        if (!this.#graph.failed) throw error;
      }
    return { slots: [], distances: [] };
  }

  /**
   * Adds passages, in about a millisecond each. Other calls run in between, and see the passages that were added so
   * far.
   * @throws TesseraError SPACE_MISMATCH, BAD_ARGUMENT, CLOSED
   */
  async upsert(passages: readonly Passage[], vectors?: readonly Float32Array[], how?: ChangeOptions): Promise<void> {
    this.vectors.table.assertOpen();
    const checked = this.vectors.check(passages, vectors);
    if (passages.length === 0) return;
    await this.#write(async () => {
      if (this.vectors.table.isMade(how)) return;
      const pause = this.#pause();
      try {
        for (const [index, passage] of passages.entries()) {
          const unit = checked.units[index]!;
          const slot = this.vectors.put(passage, unit);
          this.#onGraph((graph) => graph.add(slot, unit));
          await pause();
        }
      } finally {
        this.vectors.note(checked, how);
      }
    });
  }

  async delete(ids: readonly string[], how?: ChangeOptions): Promise<void> {
    const { table } = this.vectors;
    table.assertOpen();
    await this.#write(async () => {
      if (table.isMade(how)) return;
      const removed: string[] = [];
      for (const id of ids) {
        const slot = table.remove(id);
        if (slot === undefined) continue;
        this.#onGraph((graph) => graph.delete(slot));
        removed.push(id);
      }
      table.note(removed.length > 0 ? ["delete", ...removed] : [], how);
      if (this.#isWorn) await this.#rebuild();
    });
  }

  override async close(): Promise<void> {
    await this.#writes;
    await super.close();
  }

  /**
   * Writes the index into a folder, and replaces what was saved there.
   * @throws TesseraError STORE_FAILED
   */
  async save(folder: string, how?: SaveSettings): Promise<void> {
    this.vectors.table.assertOpen();
    // without a graph, one is built when the store is opened again
    const graph = this.#graph;
    const kept = !graph.failed && !graph.isEmpty;
    await this.#write(() => this.vectors.save(folder, how, kept ? { graph: (path) => graph.save(path) } : {}));
  }

  #onGraph(work: (graph: Graph) => void): void {
    change(this.#graph, () => work(this.#graph));
  }

  /** Writes come one after another, in the order of the calls. */
  #write<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#writes.then(work);
    this.#writes = result.catch(() => {});
    return result;
  }

  #pause(): () => Promise<void> {
    let since = performance.now();
    return async () => {
      if (performance.now() - since < sliceMs) return;
      await setImmediate();
      since = performance.now();
    };
  }
}

/** Changes a graph, unless it failed: the vectors are kept beside it, and a search then compares them all. */
function change(graph: Graph, work: () => void): void {
  if (graph.failed) return;
  try {
    work();
  } catch (error) {
    if (!graph.failed) throw error;
  }
}
