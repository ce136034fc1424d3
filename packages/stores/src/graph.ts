import { TesseraError } from "@tessera/core";
import { messageOf, missing } from "@tessera/core/internal";
import type { HierarchicalNSW } from "hnswlib-node";

const connections = 16; // M of Malkov and Yashunin 2016: links a node and layer
const breadth = 200; // efConstruction: candidates that are looked at when a node is added
const seed = 100;

const leastRoom = 1024;

/**
 * hnswlib-node behind what a store needs of it. Labels are slots; distances are 1 − the inner product. The library is given
 * no graph of no room, and a graph that failed once is never used again: what is inside it is then unknown.
 */
export class Graph {
  #index: HierarchicalNSW | undefined;
  #failed = false;
  readonly #query: number[]; // the library takes no typed arrays

  private constructor(
    private readonly make: () => HierarchicalNSW,
    index: HierarchicalNSW | undefined,
    width: number,
  ) {
    this.#index = index;
    this.#query = new Array<number>(width).fill(0);
  }

  /**
   * An empty graph, or the one saved at a path.
   * @throws TesseraError DEPENDENCY_MISSING, INDEX_CORRUPT
   */
  static async open(width: number, path?: string): Promise<Graph> {
    const { HierarchicalNSW } = await load();
    const make = () => {
      const index = new HierarchicalNSW("ip", width);
      index.initIndex({ maxElements: leastRoom, m: connections, efConstruction: breadth, randomSeed: seed });
      return index;
    };
    if (path === undefined) return new Graph(make, undefined, width);
    const index = new HierarchicalNSW("ip", width);
    try {
      await index.readIndex(path);
    } catch (cause) {
      throw new TesseraError("INDEX_CORRUPT", "the graph cannot be read", { path, hint: "index again", cause });
    }
    return new Graph(make, index.getCurrentCount() === 0 ? undefined : index, width);
  }

  /** Whether it is of no more use. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Whether nothing was ever added: then there is nothing to save. */
  get isEmpty(): boolean {
    return this.#index === undefined;
  }

  /** How many slots it holds; those that were deleted are marked and stay in it. */
  get count(): number {
    return this.#index?.getCurrentCount() ?? 0;
  }

  /** @throws TesseraError STORE_FAILED, now and whenever it is used again */
  #use<T>(work: (index: HierarchicalNSW) => T): T {
    if (this.#failed) throw new TesseraError("STORE_FAILED", "the graph failed before, and is not used again");
    try {
      this.#index ??= this.make();
      return work(this.#index);
    } catch (cause) {
      this.#failed = true;
      this.#index = undefined;
      throw new TesseraError("STORE_FAILED", `the graph failed: ${messageOf(cause)}`, { cause });
    }
  }

  /** Adds a vector, or replaces that of the slot. @throws TesseraError STORE_FAILED */
  add(slot: number, vector: Float32Array): void {
    this.#use((index) => {
      const room = index.getMaxElements();
      if (index.getCurrentCount() >= room) index.resizeIndex(Math.max(leastRoom, 2 * room));
      index.addPoint(this.#numbers(vector), slot);
    });
  }

  /** @throws TesseraError STORE_FAILED */
  delete(slot: number): void {
    this.#use((index) => index.markDelete(slot));
  }

  /**
   * The nearest `count` slots to a vector, nearest first, of `ef` candidates.
   * @throws TesseraError STORE_FAILED
   */
  near(
    vector: Float32Array,
    { count, ef, admits }: { count: number; ef: number; admits: ((slot: number) => boolean) | undefined },
  ): { slots: number[]; distances: number[] } {
    if (this.isEmpty && !this.#failed) return { slots: [], distances: [] };
    return this.#use((index) => {
      const most = Math.min(count, index.getCurrentCount());
      if (most === 0) return { slots: [], distances: [] };
      index.setEf(Math.max(ef, most));
      const { neighbors, distances } = index.searchKnn(this.#numbers(vector), most, admits);
      return { slots: neighbors, distances };
    });
  }

  async save(path: string): Promise<void> {
    await this.#index?.writeIndex(path);
  }

  #numbers(vector: Float32Array): number[] {
    for (let i = 0; i < vector.length; i++) this.#query[i] = vector[i]!;
    return this.#query;
  }
}

async function load(): Promise<typeof import("hnswlib-node")> {
  const module = await import("hnswlib-node").catch(missing("hnswlib-node"));
  return module.default ?? module;
}
