import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { blobHash, KeyedLog } from "./keyed-log.js";
import { repairLog } from "./repair-log.js";

let place: string;
let folder: string;
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), "tessera-repair-"));
  folder = join(place, "log");
});
afterEach(() => rm(place, { recursive: true }));

const blob = Buffer.from("b".repeat(200));
const hash = blobHash(blob);

/** A log of values, of one with a blob, and of a list, each written by itself. */
async function fill(): Promise<void> {
  const log = await KeyedLog.open({ folder, segmentBytes: 300 });
  for (let number = 0; number < 12; number++) await log.commit([{ put: `key ${number}`, value: `value ${number}` }]);
  await log.commit([{ put: "long", value: "names a blob", blobs: [hash] }], new Map([[hash, blob]]));
  for (const value of ["one", "two"]) await log.commit([{ add: "list", value }]);
  await log.close();
}

async function content() {
  const log = await KeyedLog.open({ folder });
  const values: Record<string, string> = {};
  for (const key of log.keys()) values[key] = String(await log.get(key));
  const list = (await log.list("list")).map(String);
  const kept = String((await log.blob(hash)) ?? "none");
  await log.close();
  return { values, list, blob: kept };
}

describe("repairing a log", () => {
  it("finds nothing in one that is whole, and changes nothing", async () => {
    await fill();
    const before = await content();
    expect(await repairLog(folder, { drop: true })).toEqual({ damages: [], dropped: [], kept: 15 });
    expect(await content()).toEqual(before);
  });

  it("keeps every entry that is whole, whichever byte was changed, says what is lost, and leaves the damaged files beside", async () => {
    await fill();
    const whole = await content();
    const names = await readdir(folder);
    for (const name of names) {
      const bytes = await readFile(join(folder, name));
      for (let at = 3; at < bytes.length; at += 29) {
        const changed = Buffer.from(bytes);
        changed[at]! ^= 16;
        await writeFile(join(folder, name), changed);
        await expect(KeyedLog.open({ folder })).rejects.toMatchObject({ code: "RECORD_CORRUPT" });
        const found = await repairLog(folder, { drop: false });
        expect([at, found.damages.length]).toEqual([at, 1]);
        expect(found.damages[0]!.path).toBe(join(folder, name));
        const { moved, ...said } = await repairLog(folder, { drop: true });
        expect(said).toEqual(found);
        expect(await readFile(join(moved!, name))).toEqual(changed);
        const { values, list, blob: kept } = await content();
        // of the values at most one is lost, and the rest is as it was
        for (const [key, value] of Object.entries(values)) expect(value).toBe(whole.values[key]);
        const lost = Object.keys(whole.values).filter((key) => !(key in values));
        expect(lost.length + (whole.list.length - list.length)).toBeLessThanOrEqual(1);
        expect(kept === "none").toBe(!("long" in values));
        await rm(folder, { recursive: true });
        await rm(moved!, { recursive: true });
        await fill();
      }
    }
  });

  it("goes on without a file that is missing, and with one that was cut", async () => {
    await fill();
    const names = (await readdir(folder)).sort();
    await rm(join(folder, names[1]!));
    expect((await repairLog(folder, { drop: true })).damages).toEqual([
      { path: join(folder, names[1]!), from: 0, bytes: 0 },
    ]);
    expect(Object.keys((await content()).values).length).toBeGreaterThan(3);
    await rm(folder, { recursive: true });
    await fill();
    const last = join(folder, names.at(-1)!);
    const bytes = await readFile(last);
    await writeFile(last, bytes.subarray(0, bytes.length - 5));
    const { damages, moved } = await repairLog(folder, { drop: true });
    expect([damages.length, moved]).toEqual([1, expect.stringContaining("log.damaged-")]);
    expect((await content()).list).toEqual(["one"]);
  });
});
