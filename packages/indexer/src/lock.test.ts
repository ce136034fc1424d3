import { fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { WriterLock } from "./lock.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tessera-lock-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const path = () => join(folder, "lock");

/** The lock of a process that was killed while it held it. */
function leaveBehind(): void {
  const { pid } = spawnSync(process.execPath, ["-e", ""]);
  writeFileSync(path(), JSON.stringify({ token: "t", pid, host: hostname(), started: "1" }));
}

describe("the lock of a folder", () => {
  it("is held by one process at a time, and none is left when all have written", async () => {
    const program = fileURLToPath(new URL("./lock.fixture.ts", import.meta.url));
    const endings = Array.from({ length: 4 }, async () => {
      const writer = fork(program, [folder, "200"], { stdio: "ignore" });
      return (await once(writer, "exit"))[0];
    });
    expect(await Promise.all(endings)).toEqual([0, 0, 0, 0]); // each asserts that it still holds what it took
    expect(readdirSync(folder)).toEqual([]);
  }, 120_000);

  it("of a process that is gone is taken over by one of those who ask", async () => {
    for (let round = 0; round < 20; round++) {
      leaveBehind();
      const asked = await Promise.allSettled(Array.from({ length: 6 }, () => WriterLock.acquire(folder)));
      const held = asked.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
      expect(held).toHaveLength(1);
      await held[0]!.assertHeld();
      await held[0]!.release();
      expect(readdirSync(folder)).toEqual([]);
    }
  }, 60_000);

  it("is taken over where a taking over was itself cut short", async () => {
    leaveBehind();
    writeFileSync(`${path()}.takeover`, "");
    await expect(WriterLock.acquire(folder)).rejects.toMatchObject({ code: "INDEX_LOCKED" });
    const long = new Date(Date.now() - 60_000);
    utimesSync(`${path()}.takeover`, long, long);
    await (await WriterLock.acquire(folder)).release();
    expect(readdirSync(folder)).toEqual([]);
  });

  it("without content belongs to its maker for a while", async () => {
    writeFileSync(path(), "");
    await expect(WriterLock.acquire(folder)).rejects.toMatchObject({ code: "INDEX_LOCKED" });
    const long = new Date(Date.now() - 60_000);
    utimesSync(path(), long, long);
    await (await WriterLock.acquire(folder)).release();
  });
});
