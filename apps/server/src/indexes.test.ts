import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { IndexFolder } from "./indexes.js";
import { freshFolder, removeFolder } from "./service.fixture.js";

let folder: string;
let log: string;
let whole: Buffer;
let boundary: number;
beforeEach(async () => {
  folder = freshFolder();
  log = join(folder, "docs.jsonl");
  const indexes = await IndexFolder.open(folder);
  const docs = await indexes.create("docs");
  await docs.upsert([{ id: "a", text: "one", metadata: {} }]);
  boundary = readFileSync(log).length;
  await docs.upsert([{ id: "b", text: "zwölf €", metadata: {} }]);
  await indexes.close();
  whole = readFileSync(log);
});
afterEach(() => {
  jest.restoreAllMocks();
  removeFolder(folder);
});

describe("the log of an index", () => {
  it("keeps everything before a last line cut at any byte, says so, and goes on from there", async () => {
    const warn = jest.spyOn(process, "emitWarning").mockImplementation(() => {});
    for (let length = boundary; length <= whole.length; length++) {
      writeFileSync(log, whole.subarray(0, length));
      warn.mockClear();
      const indexes = await IndexFolder.open(folder);
      const torn = length > boundary && length < whole.length;
      expect([length, (await indexes.get("docs").statistics()).passages]).toEqual([
        length,
        length === whole.length ? 2 : 1,
      ]);
      expect(warn.mock.calls.map(([said]) => String(said))).toEqual(
        torn ? [expect.stringContaining(`"docs" was cut short (${length - boundary} bytes)`)] : [],
      );
      await indexes.get("docs").upsert([{ id: "c", text: "three", metadata: {} }]);
      await indexes.close();
      const again = await IndexFolder.open(folder);
      expect((await again.get("docs").statistics()).passages).toBe(length === whole.length ? 3 : 2);
      await again.close();
    }
  });

  it("is refused where a line before the last is damaged, and left as it is", async () => {
    const damaged = Buffer.concat([whole, Buffer.from('{"upsert":[')]);
    damaged[boundary >> 1] = 0;
    writeFileSync(log, damaged);
    await expect(IndexFolder.open(folder)).rejects.toMatchObject({ code: "INDEX_CORRUPT", path: "docs" });
    expect(readFileSync(log)).toEqual(damaged);
  });
});
