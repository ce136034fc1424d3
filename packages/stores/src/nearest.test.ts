import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, jest } from "@jest/globals";

jest.unstable_mockModule("hnswlib-node", () => {
  throw new Error("invalid ELF header\n  at somewhere");
});
const { openVectorStore, loadVectorStore } = await import("./nearest.js");
const { HnswStore } = await import("./hnsw.js");

describe("where hnswlib-node cannot be loaded", () => {
  it("HnswStore says so", async () => {
    await expect(HnswStore.open({ space: "x", width: 2 })).rejects.toMatchObject({ code: "DEPENDENCY_MISSING" });
  });

  it("the exact store serves, with the reason in one line", async () => {
    const opened = await openVectorStore({ space: "x", width: 2 });
    expect(opened.kind).toBe("exact");
    expect(opened.reason).toMatch(/^every vector is compared: .*hnswlib-node cannot be loaded: invalid ELF header$/);

    const folder = await mkdtemp(join(tmpdir(), "tessera-nearest-"));
    await opened.store.upsert([{ id: "a", text: "a", metadata: {} }], [Float32Array.of(1, 0)]);
    await opened.store.save(folder);
    const { store, kind } = await loadVectorStore(folder);
    expect([kind, (await store.search({ vector: Float32Array.of(1, 0), top: 1 }))[0]?.passage.id]).toEqual([
      "exact",
      "a",
    ]);
  });

  it("other errors are not taken for it", async () => {
    await expect(loadVectorStore(join(tmpdir(), "tessera-no-such-index"))).rejects.toMatchObject({
      code: "INDEX_MISSING",
    });
    await expect(openVectorStore({ space: "x", width: -1 })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  });
});
