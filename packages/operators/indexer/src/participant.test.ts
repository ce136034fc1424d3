import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "@jest/globals";
import type { Encoder, Passage } from "@tessera/core";
import { embeddedText } from "@tessera/core/internal";
import { scriptedEncoder } from "@tessera/testkit";
import { Codebase } from "./codebase.js";
import { type SavedStore, storeFolder, storeParticipant } from "./participant.js";

const folder = mkdtempSync(join(tmpdir(), "tessera-participant-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Entry = { passage: Passage; vector: number[] | undefined };

/** The least store that can be saved. */
class ListStore implements SavedStore {
  readonly revision = "1";
  constructor(
    readonly entries = new Map<string, Entry>(),
    readonly space?: string,
  ) {}
  search = async () => [];
  async upsert(passages: readonly Passage[], vectors?: readonly Float32Array[]) {
    for (const [i, passage] of passages.entries())
      this.entries.set(passage.id, { passage, vector: vectors && [...vectors[i]!] });
  }
  async delete(ids: readonly string[]) {
    for (const id of ids) this.entries.delete(id);
  }
  vectorsOf(ids: readonly string[]) {
    return new Map(ids.map((id) => [id, Float32Array.from(this.entries.get(id)!.vector!)]));
  }
  async save(target: string) {
    mkdirSync(target);
    writeFileSync(join(target, "list.json"), JSON.stringify([...this.entries]));
  }
  static async load(source: string) {
    return new ListStore(new Map(JSON.parse(readFileSync(join(source, "list.json"), "utf8"))));
  }
}

function countingEncoder(revision = "1"): Encoder & { encoded: string[] } {
  const inner = scriptedEncoder(8);
  const encoded: string[] = [];
  return {
    ...inner,
    revision,
    encoded,
    encode: (texts, how, signal) => {
      encoded.push(...texts);
      return inner.encode(texts, how, signal);
    },
  };
}

const functionOf = (name: string, value: number) => `export function ${name}() {\n  return ${value};\n}\n`;

describe("storeParticipant", () => {
  it("keeps store and vectors what a new index would hold, and encodes only new words", async () => {
    const [root, index] = [join(folder, "a/root"), join(folder, "a/index")];
    mkdirSync(root, { recursive: true });
    const encoder = countingEncoder();
    const participant = (from = encoder) =>
      storeParticipant({ name: "dense", create: () => new ListStore(), load: ListStore.load, encoder: from, batch: 3 });
    const update = async (from = encoder) => {
      from.encoded.length = 0;
      const { codebase } = await Codebase.update(index, { root, participants: [participant(from)] });
      const { entries } = await ListStore.load(storeFolder(codebase.folderOf("dense")));
      const passages = await codebase.passages();
      expect([...entries.keys()].sort()).toEqual(passages.map(({ id }) => id).sort());
      const vectors = await scriptedEncoder(8).encode(passages.map(embeddedText), { kind: "code" });
      for (const [i, passage] of passages.entries()) {
        expect(entries.get(passage.id)!.passage).toEqual(passage);
        expect(entries.get(passage.id)!.vector).toEqual([...vectors[i]!]);
      }
      return from.encoded.length;
    };
    const all = Array.from({ length: 10 }, (_, i) => functionOf(`f${i}`, i));
    writeFileSync(join(root, "a.ts"), all.join("\n"));
    expect(await update()).toBe(10);
    writeFileSync(join(root, "a.ts"), ["", ...all].join("\n\n"));
    expect(await update()).toBe(0);
    writeFileSync(join(root, "a.ts"), ["", functionOf("f0", 100), ...all.slice(2), functionOf("more", 1)].join("\n"));
    expect(await update()).toBe(2);
    expect(await update(countingEncoder("2"))).toBe(10);
  });

  it("gives a store the passages that it was saved with", async () => {
    const [root, index] = [join(folder, "d/root"), join(folder, "d/index")];
    mkdirSync(root, { recursive: true });
    const given: string[][] = [];
    const participant = storeParticipant({
      name: "sparse",
      create: () => new ListStore(),
      load: (saved, passages) => {
        given.push(passages.map(({ id }) => id).sort());
        return ListStore.load(saved);
      },
    });
    const update = () => Codebase.update(index, { root, participants: [participant] });
    writeFileSync(join(root, "a.ts"), functionOf("one", 1));
    writeFileSync(join(root, "b.ts"), functionOf("two", 2));
    await update();
    writeFileSync(join(root, "b.ts"), functionOf("three", 3));
    await update();
    expect(given).toEqual([["a.ts#one", "b.ts#two"]]);
  });

  it("needs no encoder for a store of words", async () => {
    const [root, index] = [join(folder, "b/root"), join(folder, "b/index")];
    mkdirSync(root, { recursive: true });
    writeFileSync(join(root, "a.ts"), functionOf("one", 1));
    const steps: string[] = [];
    const { codebase } = await Codebase.update(index, {
      root,
      participants: [storeParticipant({ name: "sparse", create: () => new ListStore(), load: ListStore.load })],
      progress: ({ stage, done, total }) => steps.push(`${stage} ${done}/${total}`),
    });
    expect((await ListStore.load(storeFolder(codebase.folderOf("sparse")))).entries.get("a.ts#one")).toMatchObject({
      passage: { id: "a.ts#one" },
    });
    expect(steps).toContain("sparse 1/1");
  });

  it("refuses a store of another vector space, and leaves no index", async () => {
    const [root, index] = [join(folder, "c/root"), join(folder, "c/index")];
    mkdirSync(root, { recursive: true });
    writeFileSync(join(root, "a.ts"), functionOf("one", 1));
    const dense = storeParticipant({
      name: "dense",
      create: () => new ListStore(new Map(), "other"),
      load: ListStore.load,
      encoder: countingEncoder(),
    });
    await expect(Codebase.update(index, { root, participants: [dense] })).rejects.toMatchObject({
      code: "SPACE_MISMATCH",
      path: "dense",
    });
    await expect(Codebase.open(index)).rejects.toMatchObject({ code: "INDEX_MISSING" });
  });
});
