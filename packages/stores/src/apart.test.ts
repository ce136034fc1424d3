import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "@jest/globals";
import type { Passage } from "@tessera/core";
import fc from "fast-check";
import { Bm25Store } from "./bm25.js";
import { ExactStore } from "./exact.js";
import { loadVectorStore, openVectorStore } from "./nearest.js";

const root = mkdtempSync(join(tmpdir(), "tessera-apart-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;
const fresh = () => join(root, String(count++));

const passagesOf = (texts: readonly string[]): Passage[] =>
  texts.map((text, index) => ({ id: `p${index}`, text, metadata: { index } }));
const sizeOf = (folder: string) =>
  readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
const vector = (seed: number, width = 8) =>
  Float32Array.from({ length: width }, (_, i) => Math.sin(seed * 12.9898 + i * 78.233));

describe("an index without its passages", () => {
  it("of words finds what one with them finds, once they are given", async () => {
    const word = fc.constantFrom("red", "green", "blue", "owl", "fox", "deer");
    const text = fc.array(word, { minLength: 1, maxLength: 6 }).map((words) => words.join(" "));
    await fc.assert(
      fc.asyncProperty(fc.array(text, { maxLength: 20 }), fc.array(fc.nat(19)), text, async (texts, removed, query) => {
        const passages = passagesOf(texts);
        const store = new Bm25Store();
        await store.upsert(passages);
        await store.delete(removed.map((index) => `p${index}`));
        const folder = fresh();
        await store.save(folder, { passages: "none" });
        const opened = await Bm25Store.load(folder, { passages });
        expect(await opened.search({ text: query, top: 30 })).toEqual(await store.search({ text: query, top: 30 }));
        // and can be changed: what it lost, it finds no more
        await opened.delete(passages.map(({ id }) => id));
        expect(await opened.search({ text: query, top: 30 })).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });

  it("says what is missing where they are not given", async () => {
    const store = new Bm25Store();
    await store.upsert(passagesOf(["owl"]));
    const folder = fresh();
    await store.save(folder, { passages: "none" });
    await expect(Bm25Store.load(folder)).rejects.toMatchObject({ code: "INDEX_CORRUPT" });
  });

  it("of rounded vectors has cosines within 0.01 of the exact ones, and is the same after a second round", async () => {
    const width = 384;
    const passages = passagesOf(Array.from({ length: 50 }, (_, i) => `text ${i}`));
    const store = new ExactStore({ space: "s", width });
    await store.upsert(
      passages,
      passages.map((_, i) => vector(i, width)),
    );
    const [folder, again, whole] = [fresh(), fresh(), fresh()];
    const small = { passages: "none", bytes: 1 } as const;
    await store.save(folder, small);
    const opened = await ExactStore.load(folder, { passages });
    await opened.save(again, small);
    const twice = await ExactStore.load(again, { passages });
    await store.save(whole);
    expect(sizeOf(folder)).toBeLessThan(sizeOf(whole) / 3.5);
    for (let query = 100; query < 110; query++) {
      const search = { vector: vector(query, width), top: 50 };
      const exact = new Map((await store.search(search)).map(({ passage, score }) => [passage.id, score]));
      const rounded = await opened.search(search);
      for (const { passage, score } of rounded) expect(Math.abs(score - exact.get(passage.id)!)).toBeLessThan(0.01);
      for (const [index, { passage, score }] of (await twice.search(search)).entries()) {
        expect(passage.id).toBe(rounded[index]!.passage.id);
        expect(score).toBeCloseTo(rounded[index]!.score, 5);
      }
    }
  });

  it("keeps a vector of zeros, and gives the vectors of what it holds", async () => {
    const store = new ExactStore({ space: "s", width: 2 });
    await store.upsert(passagesOf(["a", "b"]), [Float32Array.of(0, 0), Float32Array.of(3, 4)]);
    const folder = fresh();
    await store.save(folder, { bytes: 1 });
    const opened = await ExactStore.load(folder);
    const vectors = opened.vectorsOf(["p0", "p1", "other"]);
    expect([...vectors.keys()]).toEqual(["p0", "p1"]);
    expect([...vectors.get("p0")!]).toEqual([0, 0]);
    expect(vectors.get("p1")![0]).toBeCloseTo(0.6, 2);
  });
});

describe("an index that is few", () => {
  it("needs no graph, and gets one when it has grown", async () => {
    const open = await openVectorStore({ space: "s", width: 8 }, { exactUpTo: 3, expected: 3 });
    expect(open.kind).toBe("exact");
    const passages = passagesOf(["a", "b", "c", "d"]);
    const folder = fresh();
    await open.store.upsert(passages.slice(0, 3), [vector(1), vector(2), vector(3)]);
    await open.store.save(folder);
    expect((await loadVectorStore(folder, { exactUpTo: 3 })).kind).toBe("exact");
    await open.store.upsert(passages.slice(3), [vector(4)]);
    await open.store.save(folder);
    const grown = await loadVectorStore(folder, { exactUpTo: 3 });
    expect(grown.kind).toBe((await loadVectorStore(folder)).kind);
    expect((await grown.store.search({ vector: vector(4), top: 1 }))[0]!.passage.id).toBe("p3");
  });
});
