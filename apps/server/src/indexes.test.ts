import { appendFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import type { Store } from "@tessera/core";
import { IndexFolder } from "./indexes.js";
import { freshFolder, removeFolder } from "./service.fixture.js";

let folder: string;
let log: string;
let whole: Buffer;
beforeEach(async () => {
  folder = freshFolder();
  log = join(folder, "docs", "00000001.log");
  const indexes = await IndexFolder.open(folder);
  const docs = await indexes.create("docs");
  for (const id of ["a", "b", "c", "d", "e"]) await docs.upsert([{ id, text: `zwölf € ${id}`, metadata: {} }]);
  await indexes.close();
  whole = readFileSync(log);
});
afterEach(() => {
  jest.restoreAllMocks();
  removeFolder(folder);
});

const passagesOf = async (): Promise<number> => {
  const indexes = await IndexFolder.open(folder);
  const { passages } = await indexes.get("docs").statistics();
  await indexes.close();
  return passages;
};

describe("the log of an index", () => {
  it("is refused with the file's name after a cut anywhere, ends of entries too, and after flipped bits", async () => {
    const corrupt = { code: "INDEX_CORRUPT", path: log };
    for (let length = 0; length < whole.length; length += 7) {
      writeFileSync(log, whole.subarray(0, length));
      await expect(IndexFolder.open(folder)).rejects.toMatchObject(corrupt);
    }
    for (let bit = 5; bit < whole.length * 8; bit += 61) {
      const changed = Buffer.from(whole);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      writeFileSync(log, changed);
      await expect(IndexFolder.open(folder)).rejects.toMatchObject(corrupt);
      expect(readFileSync(log)).toEqual(changed);
    }
    writeFileSync(log, whole);
    expect(await passagesOf()).toBe(5);
  });

  it("keeps everything before an end that was never confirmed, says so, and goes on from there", async () => {
    const warn = jest.spyOn(process, "emitWarning").mockImplementation(() => {});
    appendFileSync(log, "half a change");
    const indexes = await IndexFolder.open(folder);
    expect(warn.mock.calls.map(([said]) => String(said))).toEqual([
      expect.stringContaining('"docs" was cut short (13 bytes)'),
    ]);
    await indexes.get("docs").upsert([{ id: "f", text: "six", metadata: {} }]);
    await indexes.get("docs").delete(["a", "b"]);
    await indexes.close();
    expect(await passagesOf()).toBe(4);
  });

  it("does not grow with the versions of one passage", async () => {
    let indexes = await IndexFolder.open(folder);
    const text = "word ".repeat(200);
    for (let version = 0; version < 400; version++)
      await indexes.get("docs").upsert([{ id: "a", text: `${text} ${version}`, metadata: {} }]);
    await indexes.close();
    const bytes = readdirSync(join(folder, "docs")).reduce(
      (sum, name) => sum + statSync(join(folder, "docs", name)).size,
      0,
    );
    expect(bytes).toBeLessThan(150_000); // of 400 kB; 64 kB may be left alone, and as much may come while it is compacted
    indexes = await IndexFolder.open(folder);
    const [hit] = await indexes.get("docs").search({ text: "399", top: 1 });
    expect(hit?.passage.id).toBe("a");
    await indexes.close();
  });

  it("makes a change with an idempotency key once, also after a restart, by the door of a flow too", async () => {
    let indexes = await IndexFolder.open(folder);
    const index = await indexes.create("once");
    const one = (text: string) => [{ id: "p", text, metadata: {} }];
    const how = { idempotencyKey: "run:f/write" };
    const door = async (): Promise<Store> => indexes.get("once").resources.store!["once.sparse"] as never;
    await (await door()).upsert(one("of the step"), undefined, how);
    await index.upsert(one("of somebody else"));
    await (await door()).upsert(one("of the step"), undefined, how);
    await indexes.close();
    indexes = await IndexFolder.open(folder);
    await (await door()).upsert(one("of the step"), undefined, how);
    await (await door()).delete(["p"], { idempotencyKey: "run:f/other" });
    await indexes.get("once").upsert(one("of somebody else"));
    await (await door()).delete(["p"], { idempotencyKey: "run:f/other" });
    const [hit] = await indexes.get("once").search({ text: "somebody", top: 5 });
    expect(hit?.passage.text).toBe("of somebody else");
    expect((await indexes.get("once").statistics()).passages).toBe(1);
    await indexes.close();
  });

  it("of the first layout is brought in: all changes but one that was cut short", async () => {
    const old = join(folder, "old.jsonl");
    const lines = [
      { upsert: [{ id: "a", text: "one", metadata: {} }] },
      { upsert: [{ id: "b", text: "two", metadata: {} }] },
      { delete: ["a"] },
    ];
    writeFileSync(old, `${lines.map((line) => JSON.stringify(line)).join("\n")}\n{"upsert":[{"id"`);
    const indexes = await IndexFolder.open(folder);
    expect((await indexes.get("old").statistics()).passages).toBe(1);
    await indexes.close();
    expect(readdirSync(folder).sort()).toEqual(["docs", "old"]);
    mkdirSync(join(folder, "gone.removed"));
    writeFileSync(old, "{no json}\n");
    await expect(IndexFolder.open(folder)).rejects.toMatchObject({ code: "INDEX_CORRUPT", path: old });
    expect(readFileSync(old, "utf8")).toBe("{no json}\n");
  });
});
