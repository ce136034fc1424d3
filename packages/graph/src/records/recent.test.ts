import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "@jest/globals";
import { KeyedLog } from "@tessera/core/internal";
import { logRecords } from "./log.js";
import { memoryRecords } from "./memory.js";

const folder = mkdtempSync(join(tmpdir(), "tessera-cache-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const cacheBytes = 10_000;
const text = "x".repeat(1000);

it("the texts of a cache keep their bytes on disk, those that are used stay, and a later life counts what is there", async () => {
  const kept: string[][] = [];
  for (let life = 0; life < 2; life++) {
    const log = await KeyedLog.open({ folder });
    const records = logRecords(log, { cacheBytes });
    for (let n = 0; n < 50; n++) {
      await records.put!(`${life}.${n}`, text);
      expect(await records.get!(`${life}.0`)).toBe(text);
    }
    kept.push([...log.keys()].sort());
    await log.close();
  }
  const expected = (life: number) =>
    [0, ...Array.from({ length: 9 }, (_, i) => 41 + i)].map((n) => `cache/${life}.${n}`);
  expect(kept).toEqual([expected(0).sort(), expected(1).sort()]);
});

it("and in memory; a text larger than all of them stands alone", async () => {
  const records = memoryRecords({ cacheBytes });
  for (let n = 0; n < 50; n++) await records.put!(`${n}`, text);
  const there = async () =>
    (await Promise.all(Array.from({ length: 50 }, (_, n) => records.get!(`${n}`)))).filter(Boolean).length;
  expect(await there()).toBe(10);
  await records.put!("large", "x".repeat(20_000));
  expect([await there(), (await records.get!("large"))!.length]).toEqual([0, 20_000]);
});
