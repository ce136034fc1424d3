import { TesseraError } from "@tessera/core";
import type { HierarchicalNSW } from "hnswlib-node";

const connections = 16; // M of Malkov and Yashunin 2016: links a node and layer
const breadth = 200; // efConstruction: candidates that are looked at when a node is added
const seed = 100;

/** hnswlib-node behind what a store needs of it. Labels are slots; distances are 1 − the inner product. */
export class Graph {
  readonly #index: HierarchicalNSW;
  readonly #query: number[]; // the library takes no typed arrays

  private constructor(index: HierarchicalNSW, width: number) {
    this.#index = index;
    this.#query = new Array<number>(width).fill(0);
  }

  /**
   * An empty graph, or the one saved at a path.
   * @throws TesseraError DEPENDENCY_MISSING, INDEX_CORRUPT
   */
  static async open(width: number, path?: string): Promise<Graph> {
    const { HierarchicalNSW } = await load();
    const index = new HierarchicalNSW("ip", width);
    if (path === undefined)
      index.initIndex({ maxElements: 1024, m: connections, efConstruction: breadth, randomSeed: seed });
    else {
      try {
        await index.readIndex(path);
      } catch (cause) {
        throw new TesseraError("INDEX_CORRUPT", "the graph cannot be read", { path, hint: "index again", cause });
      }
    }
    return new Graph(index, width);
  }

  /** Adds a vector, or replaces that of the slot. */
  add(slot: number, vector: Float32Array): void {
    const room = this.#index.getMaxElements();
    if (this.#index.getCurrentCount() === room) this.#index.resizeIndex(2 * room);
    this.#index.addPoint(this.#numbers(vector), slot);
  }

  delete(slot: number): void {
    this.#index.markDelete(slot);
  }

  /** The nearest `count` slots to a vector, nearest first, of `ef` candidates. */
  near(
    vector: Float32Array,
    { count, ef, admits }: { count: number; ef: number; admits: ((slot: number) => boolean) | undefined },
  ): { slots: number[]; distances: number[] } {
    const most = Math.min(count, this.#index.getCurrentCount());
    if (most === 0) return { slots: [], distances: [] };
    this.#index.setEf(Math.max(ef, most));
    const { neighbors, distances } = this.#index.searchKnn(this.#numbers(vector), most, admits);
    return { slots: neighbors, distances };
  }

  async save(path: string): Promise<void> {
    await this.#index.writeIndex(path);
  }

  #numbers(vector: Float32Array): number[] {
    for (let i = 0; i < vector.length; i++) this.#query[i] = vector[i]!;
    return this.#query;
  }
}

async function load(): Promise<typeof import("hnswlib-node")> {
  try {
    const module = await import("hnswlib-node");
    return module.default ?? module;
  } catch (cause) {
    throw new TesseraError("DEPENDENCY_MISSING", "hnswlib-node is not installed or was not compiled", {
      hint: "install it with a C++ compiler at hand, or use ExactStore",
      cause,
    });
  }
}
