import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "@jest/globals";
import type { Filter, Passage } from "@tessera/core";
import { uniform } from "@tessera/core/internal";
import { testStore } from "@tessera/testkit";
import { agreement } from "./agreement.fixture.js";
import { ExactStore } from "./exact.js";
import { HnswStore } from "./hnsw.js";
import { loadVectorStore, openVectorStore } from "./nearest.js";

testStore("HnswStore", { open: () => HnswStore.open({ space: "test:4", width: 4 }), by: "vector" });

const width = 32;
const random = uniform(11);
const normal = () => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
const axes = Array.from({ length: 6 }, () => Array.from({ length: width }, normal));

/** Points near a plane of 6 dimensions, as embeddings are near something lower. */
function point(): Float32Array {
  const at = axes.map(normal);
  return Float32Array.from(
    { length: width },
    (_, i) => axes.reduce((sum, axis, n) => sum + at[n]! * axis[i]!, 0) + 0.3 * normal(),
  );
}

const passageOf = (i: number): Passage => ({
  id: `p${i}`,
  text: `${i}`,
  metadata: { tenth: i % 10, hundredth: i % 100 },
});

const recall = (store: HnswStore, oracle: ExactStore, filter?: Filter): Promise<number> =>
  agreement(
    store,
    oracle,
    Array.from({ length: 50 }, () => ({ vector: point(), top: 10, filter })),
  );

describe("HnswStore", () => {
  let store: HnswStore;
  let oracle: ExactStore;
  const count = 3000;

  beforeAll(async () => {
    store = await HnswStore.open({ space: "test:32", width });
    oracle = new ExactStore({ space: "test:32", width });
    const passages = Array.from({ length: count }, (_, i) => passageOf(i));
    const vectors = passages.map(point);
    await store.upsert(passages, vectors);
    await oracle.upsert(passages, vectors);
  });

  it("row 22: finds what the exact store finds, with the same scores", async () => {
    expect(await recall(store, oracle)).toBeGreaterThan(0.99);
    const query = { vector: point(), top: 5 };
    const scores = (hits: { score: number }[]) => hits.map(({ score }) => score);
    expect(scores(await store.search(query))).toEqual(scores(await oracle.search(query)));
  });

  it.each<[string, Filter]>([
    ["nine tenths", { not: { field: "tenth", equals: 3 } }],
    ["two tenths", { field: "tenth", in: [3, 4] }],
    ["a tenth", { field: "tenth", equals: 3 }],
    ["a hundredth", { field: "hundredth", equals: 3 }],
    ["one", { field: "id", equals: "p17" }],
    ["none", { field: "tenth", equals: 99 }],
  ])("a filter that admits %s gives as many hits as there are", async (_, filter) => {
    const share = await recall(store, oracle, filter);
    if (!Number.isNaN(share)) expect(share).toBeGreaterThan(0.99);
  });

  it("keeps its recall when half is deleted, replaced and added again, and when it is reloaded", async () => {
    const gone = Array.from({ length: count / 2 }, (_, i) => `p${2 * i}`);
    await store.delete(gone);
    await oracle.delete(gone);
    expect(await recall(store, oracle)).toBeGreaterThan(0.98);

    const replaced = Array.from({ length: 1000 }, (_, i) => passageOf(i));
    const vectors = replaced.map(point);
    await store.upsert(replaced, vectors);
    await oracle.upsert(replaced, vectors);
    expect(store.size).toBe(oracle.size);
    expect(await recall(store, oracle)).toBeGreaterThan(0.98);

    const folder = await mkdtemp(join(tmpdir(), "tessera-hnsw-"));
    await store.save(folder);
    const loaded = await HnswStore.load(folder);
    expect([loaded.revision, loaded.space, loaded.size]).toEqual([store.revision, "test:32", store.size]);
    expect(await recall(loaded, oracle)).toBeGreaterThan(0.98);
    await loaded.upsert([passageOf(9000)], [point()]); // there is room for more
    expect(loaded.size).toBe(store.size + 1);

    // what one kind saved, the other opens
    const exact = await ExactStore.load(folder);
    const query = { vector: point(), top: 10 };
    expect((await exact.search(query)).map((hit) => hit.passage.id)).toEqual(
      (await oracle.search(query)).map((hit) => hit.passage.id),
    );
    await exact.save(folder);
    expect(await recall(await HnswStore.load(folder), oracle)).toBeGreaterThan(0.98);
    expect(await loadVectorStore(folder)).toMatchObject({ kind: "hnsw", reason: expect.stringContaining("graph") });
    await rm(folder, { recursive: true });
  });

  it("lets others have their turn while it adds, and keeps the order of writes", async () => {
    const busy = await HnswStore.open({ space: "test:32", width });
    const passages = Array.from({ length: 2000 }, (_, i) => passageOf(i));
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const writes = [busy.upsert(passages, passages.map(point)), busy.delete(passages.slice(1).map(({ id }) => id))];
    await Promise.all(writes);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(1);
    expect(busy.size).toBe(1);
    expect((await busy.search({ vector: point(), top: 10 })).map((hit) => hit.passage.id)).toEqual(["p0"]);
  });

  it("refuses another width and a useless ef", async () => {
    await expect(store.search({ vector: Float32Array.of(1), top: 1 })).rejects.toMatchObject({
      code: "SPACE_MISMATCH",
    });
    await expect(HnswStore.open({ space: "x", width: 2 }, { ef: 0 })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  });

  it("is what a vector store is where it can be loaded", async () => {
    expect(await openVectorStore({ space: "x", width: 2 })).toMatchObject({ kind: "hnsw" });
  });
});
