import * as files from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, jest } from "@jest/globals";
import type { Passage } from "@tessera/core";
import { canonicalJson, sha256 } from "@tessera/core/internal";

let calls = 0;
let failing = Number.POSITIVE_INFINITY;
let remains = false; // after a crash nothing is cleaned up either

function faulty<F extends (...rest: never[]) => Promise<unknown>>(call: F, torn?: F): F {
  return (async (...rest: Parameters<F>) => {
    calls++;
    if (calls === failing) await torn?.(...rest);
    if (calls === failing || (remains && calls > failing))
      throw Object.assign(new Error("the disk is full"), { code: "ENOSPC" });
    return call(...rest);
  }) as unknown as F;
}
jest.unstable_mockModule("node:fs/promises", () => ({
  mkdir: faulty(files.mkdir as never),
  readFile: faulty(files.readFile as never),
  rename: faulty(files.rename as never),
  rm: faulty(files.rm as never),
  open: faulty((async (path: string, flags: string) => {
    const handle = await files.open(path, flags);
    return {
      writeFile: faulty(
        (content: Uint8Array) => handle.writeFile(content),
        (content: Uint8Array) => handle.writeFile(content.subarray(0, content.length >> 1)), // a torn write
      ),
      sync: faulty(() => handle.sync()),
      close: () => handle.close(),
    };
  }) as never),
}));
const { Bm25Store } = await import("./bm25.js");
const { ExactStore } = await import("./exact.js");

const passage = (id: string): Passage => ({ id, text: "word", metadata: {} });
const ids = async (store: InstanceType<typeof Bm25Store>) =>
  (await store.search({ text: "word", top: 10 })).map((hit) => hit.passage.id);

describe("snapshots", () => {
  let folder: string;
  let store: InstanceType<typeof Bm25Store>;

  beforeEach(async () => {
    failing = Number.POSITIVE_INFINITY;
    folder = await files.mkdtemp(join(tmpdir(), "tessera-snapshot-"));
    store = new Bm25Store();
    await store.upsert([passage("old")]);
    await store.save(folder);
    await store.upsert([passage("new")]);
  });

  it.each([
    ["fails", false],
    ["is where a crash comes", true],
  ])("whichever step of a save %s, the old index or the new one is there", async (_, crash) => {
    calls = 0;
    await store.save(folder);
    const steps = calls;
    expect(steps).toBeGreaterThan(20);
    let [old, replaced] = [0, 0];
    for (let step = 1; step <= steps; step++) {
      failing = Number.POSITIVE_INFINITY;
      const before = new Bm25Store();
      await before.upsert([passage("old")]);
      await before.save(folder);
      [calls, failing, remains] = [0, step, crash];
      await store
        .save(folder)
        .catch((error: unknown) => expect(error).toMatchObject({ code: "STORE_FAILED", path: folder }));
      failing = Number.POSITIVE_INFINITY;
      const found = await ids(await Bm25Store.load(folder));
      if (found.length === 1) old++;
      else replaced++;
      expect([["old"], ["new", "old"]]).toContainEqual(found);
    }
    expect(old).toBeGreaterThan(10);
    expect(replaced).toBeGreaterThan(0);
  });

  it("a save that fails leaves nothing behind, and the next one works", async () => {
    const before = (await files.readdir(folder)).sort();
    [calls, failing, remains] = [0, 12, false];
    await expect(store.save(folder)).rejects.toMatchObject({ code: "STORE_FAILED" });
    failing = Number.POSITIVE_INFINITY;
    expect((await files.readdir(folder)).sort()).toEqual(before);
    await store.save(folder);
    expect(await files.readdir(folder)).toHaveLength(before.length);
    expect(await ids(await Bm25Store.load(folder))).toEqual(["new", "old"]);
  });

  it("every damage to any file is found", async () => {
    for (const name of await files.readdir(folder)) {
      const path = join(folder, name);
      const bytes = await files.readFile(path);
      if (bytes.length === 0) continue;
      const flipped = Buffer.from(bytes);
      flipped[bytes.length >> 1]! ^= 32;
      for (const damaged of [flipped, bytes.subarray(0, -1), Buffer.concat([bytes, bytes]), Buffer.alloc(0)]) {
        await files.writeFile(path, damaged);
        await expect(Bm25Store.load(folder)).rejects.toMatchObject({ code: "INDEX_CORRUPT", hint: "index again" });
      }
      await files.rm(path);
      await expect(Bm25Store.load(folder)).rejects.toMatchObject({
        code: name === "manifest.json" ? "INDEX_MISSING" : "INDEX_CORRUPT",
      });
      await files.writeFile(path, bytes);
    }
    expect(await ids(await Bm25Store.load(folder))).toEqual(["old"]);
  });

  it("an index of another kind or version is refused, and a missing one is missing", async () => {
    await expect(ExactStore.load(folder)).rejects.toMatchObject({ code: "INDEX_CORRUPT" });
    const path = join(folder, "manifest.json");
    const { sha256: _, ...manifest } = JSON.parse(await files.readFile(path, "utf8"));
    const newer = { ...manifest, version: manifest.version + 1 };
    await files.writeFile(path, JSON.stringify({ ...newer, sha256: sha256(canonicalJson(newer)) }));
    await expect(Bm25Store.load(folder)).rejects.toThrow(`format version ${newer.version}`);
    await expect(Bm25Store.load(join(folder, "none"))).rejects.toMatchObject({ code: "INDEX_MISSING" });
  });

  it("a folder that is a file, and one that cannot be read, are errors of the store", async () => {
    const path = join(folder, "file");
    await files.writeFile(path, "");
    await expect(store.save(path)).rejects.toMatchObject({ code: "STORE_FAILED" });
    [calls, failing, remains] = [0, 1, false];
    await expect(Bm25Store.load(folder)).rejects.toMatchObject({ code: "STORE_FAILED" });
  });

  it("a reader meets a writer: it gets one snapshot whole", async () => {
    const loads = Array.from({ length: 20 }, async () => ids(await Bm25Store.load(folder)));
    await store.save(folder);
    for (const found of await Promise.all(loads)) expect([["old"], ["new", "old"]]).toContainEqual(found);
  });
});
