import { afterAll, describe, expect, it } from "@jest/globals";
import type { Filter, Passage } from "@tessera/core";
import { uniform } from "@tessera/core/internal";
import { needsForAll, testStore } from "@tessera/testkit";
import { ExactStore } from "./exact.js";
import { admitsAsCore } from "./filters.fixture.js";
import { hasMilvus, MilvusServer } from "./milvus.fixture.js";
import { type MilvusSettings, MilvusStore } from "./milvus.js";

// one that is given, or one of this machine's own
const own = process.env.TESSERA_MILVUS || !hasMilvus ? undefined : await MilvusServer.start();
const address = process.env.TESSERA_MILVUS ?? own?.address;
const opened: MilvusStore[] = [];
afterAll(async () => {
  await Promise.all(opened.map((store) => store.close()));
  await own?.remove();
});

const space = { space: "test:4", width: 4 };
let count = 0;
async function open(settings: Partial<MilvusSettings> = {}): Promise<MilvusStore> {
  const name = `test_${process.pid}_${count++}`;
  const store = await MilvusStore.open({ address: address!, name, refreshMs: 0, ...space, ...settings });
  opened.push(store);
  return store;
}

const unit = (...components: number[]) => Float32Array.from(components);
const plain = (id: string, metadata: Passage["metadata"] = {}): Passage => ({ id, text: id, metadata });

if (address !== undefined) testStore("MilvusStore, on Milvus Lite", { open: () => open(), by: "vector" });

needsForAll(address !== undefined, "no Milvus: apps/setup/milvus.sh brings Milvus Lite; TESSERA_MILVUS names a server")(
  "MilvusStore",
  () => {
    it("admits what core admits, whatever keys, values and names there are, and keeps them as they are", async () => {
      const store = await open();
      await admitsAsCore(store, 40);
    });

    it("finds the nearest, with and without a filter, as a search of every vector does", async () => {
      const store = await open({ space: "test:8", width: 8 });
      const exact = new ExactStore({ space: "test:8", width: 8 });
      const random = uniform(7);
      const vector = () => Float32Array.from({ length: 8 }, () => random() - 0.5);
      const passages = Array.from({ length: 1200 }, (_, i) => plain(`p${i}`, { hundredth: i % 100, half: i % 2 }));
      const vectors = passages.map(vector);
      await store.upsert(passages, vectors);
      await exact.upsert(passages, vectors);
      expect(await store.statistics()).toEqual({ passages: 1200 });
      let [found, wanted] = [0, 0];
      const filters: (Filter | undefined)[] = [
        undefined,
        { field: "half", equals: 1 },
        { field: "hundredth", equals: 3 },
      ];
      for (const filter of filters)
        for (let i = 0; i < 5; i++) {
          const query = { vector: vector(), top: 10, filter };
          const expected = new Map((await exact.search(query)).map((hit) => [hit.passage.id, hit.score]));
          const hits = await store.search(query);
          expect(hits).toHaveLength(expected.size);
          for (const { passage, score } of hits)
            if (expected.has(passage.id)) expect(score).toBeCloseTo(expected.get(passage.id)!, 5);
          found += hits.filter((hit) => expected.has(hit.passage.id)).length;
          wanted += expected.size;
        }
      expect(found / wanted).toBeGreaterThan(0.97);
    });

    it("gives ties in the order of ids, also where more are equal than a search looks at first", async () => {
      const store = await open();
      const passages = Array.from({ length: 40 }, (_, i) => plain(`p${String(39 - i).padStart(2, "0")}`));
      await store.upsert(
        passages,
        passages.map(() => unit(0, 1, 0, 0)),
      );
      const hits = await store.search({ vector: unit(0, 1, 0, 0), top: 5 });
      expect(hits.map(({ passage }) => passage.id)).toEqual(["p00", "p01", "p02", "p03", "p04"]);
    });

    it("is opened again as it was, by its own encoder alone, and sees what another process wrote", async () => {
      const name = `again_${process.pid}`;
      const [store, other] = [await open({ name }), await open({ name })];
      await store.upsert([plain("a")], [unit(1, 0, 0, 0)]);
      expect(other.revision).not.toBe(store.revision);
      await other.refresh();
      expect(other.revision).toBe(store.revision);
      expect(await other.get(["a", "b", "\0", ""])).toEqual([plain("a"), undefined, undefined, undefined]);
      await expect(open({ name, space: "other" })).rejects.toMatchObject({ code: "SPACE_MISMATCH" });
      await store.drop();
      expect(await (await open({ name, space: "other" })).search({ vector: unit(1, 0, 0, 0), top: 1 })).toEqual([]);
    });

    it.each<[string, Passage]>([
      ["an empty id", plain("")],
      ["an id that is too long", plain("x".repeat(1025))],
      ["an id with half a character", plain("\ud800")],
      ["too long a text", { id: "a", text: "é".repeat(40_000), metadata: {} }],
      ["too many values", plain("a", { list: Array.from({ length: 5000 }, (_, i) => i) })],
    ])("refuses %s before it writes anything", async (_, refused) => {
      const store = await open();
      const { revision } = store;
      const written = store.upsert([plain("good"), refused], [unit(1, 0, 0, 0), unit(1, 0, 0, 0)]);
      await expect(written).rejects.toMatchObject({ code: "BAD_ARGUMENT", path: "passages[1]" });
      expect([store.revision, await store.statistics()]).toEqual([revision, { passages: 0 }]);
    });

    it("says what is wrong: words alone, a width, a name, too many hits, another width", async () => {
      const store = await open();
      const bad = { code: "BAD_ARGUMENT" };
      await expect(store.search({ text: "alpha", top: 1 })).rejects.toMatchObject(bad);
      await expect(store.search({ vector: unit(1, 0, 0, 0), top: 20_000 })).rejects.toMatchObject(bad);
      await expect(store.search({ vector: unit(1, 0), top: 1 })).rejects.toMatchObject({ code: "SPACE_MISMATCH" });
      await expect(open({ width: 1 })).rejects.toMatchObject(bad);
      await expect(open({ name: "Not a name" })).rejects.toMatchObject(bad);
    });

    it("turns what the server refuses, and a server that is gone, into STORE_FAILED", async () => {
      const store = await open();
      const other = await open({ name: `dropped_${process.pid}` });
      await (await open({ name: `dropped_${process.pid}` })).drop();
      await expect(other.search({ vector: unit(1, 0, 0, 0), top: 1 })).rejects.toMatchObject({ code: "STORE_FAILED" });
      if (!own) return;
      await store.upsert([plain("kept")], [unit(1, 0, 0, 0)]);
      await own.down();
      await expect(store.search({ vector: unit(1, 0, 0, 0), top: 1 })).rejects.toMatchObject({ code: "STORE_FAILED" });
      await own.up();
      // what was confirmed outlives a kill
      const again = await open({ name: (store as unknown as { passages: string }).passages.slice("tessera_".length) });
      expect(await again.get(["kept"])).toEqual([plain("kept")]);
    });
  },
);

describe("MilvusStore", () => {
  it("says that nobody answers at an address", async () => {
    const settings = { address: "127.0.0.1:1", name: "nobody", ...space };
    await expect(MilvusStore.open(settings)).rejects.toMatchObject({ code: "STORE_FAILED" });
  });
});
