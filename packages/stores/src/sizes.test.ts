import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import type { Passage, Store } from "@tessera/core";
import { uniform } from "@tessera/core/internal";
import fc from "fast-check";
import { Bm25Store } from "./bm25.js";
import { ExactStore } from "./exact.js";
import { Graph } from "./graph.js";
import { HnswStore } from "./hnsw.js";

const width = 4;
const random = uniform(5);
const passageOf = (i: number): Passage => ({ id: `p${i}`, text: `word${i} alpha`, metadata: {} });
const points = Array.from({ length: 2100 }, () => Float32Array.from({ length: width }, () => random() - 0.5));

interface Saved extends Store {
  save(folder: string): Promise<void>;
}
const kinds: Record<string, { open(): Promise<Saved>; load(folder: string): Promise<Saved>; vectors: boolean }> = {
  hnsw: { open: () => HnswStore.open({ space: "s", width }), load: HnswStore.load, vectors: true },
  exact: { open: async () => new ExactStore({ space: "s", width }), load: ExactStore.load, vectors: true },
  bm25: { open: async () => new Bm25Store(), load: Bm25Store.load, vectors: false },
};

/** The room that a graph begins with. */
const capacity = 1024;
const size = fc.constantFrom(0, 1, 2, capacity - 1, capacity, capacity + 1);
const step = fc.record({ kind: fc.constantFrom("fill" as const, "empty" as const, "save" as const), size });

describe.each(Object.entries(kinds))("a store of kind %s", (_, { open, load, vectors }) => {
  it("grows and shrinks from and to any size, zero among them, saved and opened in between", async () => {
    await fc.assert(
      fc.asyncProperty(size, fc.array(step, { maxLength: 4 }), async (first, steps) => {
        let store = await open();
        let count = 0;
        const fill = async (to: number) => {
          const added = Array.from({ length: Math.max(0, to - count) }, (_one, index) => passageOf(count + index));
          await store.upsert(added, vectors ? added.map(({ id }) => points[Number(id.slice(1))]!) : undefined);
          const gone = Array.from({ length: Math.max(0, count - to) }, (_one, index) => `p${to + index}`);
          await store.delete(gone);
          count = to;
        };
        await fill(first);
        for (const { kind, size: to } of [
          ...steps,
          { kind: "save", size: 0 },
          { kind: "fill", size: 3 },
          { kind: "save", size: 0 },
        ]) {
          if (kind !== "save") await fill(kind === "empty" ? 0 : to);
          else {
            const folder = await mkdtemp(join(tmpdir(), "tessera-sizes-"));
            await store.save(folder);
            await store.close?.();
            store = await load(folder);
            await rm(folder, { recursive: true });
          }
          for (const i of new Set([0, 1, count - 1].filter((at) => at >= 0 && at < count))) {
            const query = vectors ? { vector: points[i]!, top: 1 } : { text: `word${i}`, top: 1 };
            expect((await store.search(query)).map(({ passage }) => passage.id)).toEqual([`p${i}`]);
          }
          const all = await store.search(vectors ? { vector: points[0]!, top: 3000 } : { text: "alpha", top: 3000 });
          expect(all).toHaveLength(count);
        }
        await store.close?.();
      }),
      { numRuns: 8 },
    );
  });
});

describe("HnswStore", () => {
  it("finds each passage again after all, or most, were deleted and written again", async () => {
    for (const left of [0, 1, 100, 600]) {
      const store = await HnswStore.open({ space: "s", width });
      const all = Array.from({ length: 1500 }, (_, i) => passageOf(i));
      const vectors = all.map((_, i) => points[i]!);
      for (let turn = 0; turn < 3; turn++) {
        await store.upsert(all, vectors);
        if (turn < 2) await store.delete(all.slice(left).map(({ id }) => id));
      }
      const missed: string[] = [];
      for (const [i, { id }] of all.entries()) {
        const [hit] = await store.search({ vector: points[i]!, top: 1 });
        if (hit?.passage.id !== id) missed.push(id);
      }
      expect([left, missed]).toEqual([left, []]);
      await store.close();
    }
  });
});

describe("a graph", () => {
  it("that failed once is never given to the library again", async () => {
    const graph = await Graph.open(width);
    graph.add(0, points[0]!);
    expect(() => graph.delete(77)).toThrow(expect.objectContaining({ code: "STORE_FAILED" }));
    expect(graph.failed).toBe(true);
    for (const use of [
      () => graph.add(1, points[1]!),
      () => graph.near(points[0]!, { count: 1, ef: 1, admits: undefined }),
    ])
      expect(use).toThrow(
        expect.objectContaining({ code: "STORE_FAILED", message: expect.stringContaining("not used again") }),
      );
  });
});
