import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "@jest/globals";
import { KeyedLog, WriterLock } from "@tessera/core/internal";
import { tessera } from "./program.fixture.js";

const work = mkdtempSync(join(tmpdir(), "tessera-repair-"));
const service = join(work, "home/service");
const log = join(service, "log");
afterAll(() => rmSync(work, { recursive: true, force: true }));

const serve = (...words: string[]) => tessera(["serve", ...words], work, { TESSERA_HOME: join(work, "home") });

/** The keys of the log that can be read. */
async function keys(): Promise<string[]> {
  const found: string[] = [];
  const opened = await KeyedLog.open({ folder: log, onOpen: (key) => void found.push(key) });
  await opened.close();
  return found.sort();
}

describe("tessera serve --repair", () => {
  it("lists what is lost and changes nothing; with --drop-damaged it keeps the rest", async () => {
    const written = await KeyedLog.open({ folder: log, onOpen: () => {} });
    for (const key of ["a", "b", "c"])
      await written.commit([{ put: `note/${key}`, value: Buffer.from(`value of ${key}`) }]);
    await written.close();
    expect(await serve("--repair")).toMatchObject({ code: 0, out: "every log is whole\n" });

    const path = join(log, "00000001.log");
    const bytes = readFileSync(path);
    bytes[bytes.indexOf("value of b")]! ^= 1;
    writeFileSync(path, bytes);
    const refused = await serve("--port", "0");
    expect(refused.code).toBe(1);
    expect(refused.err).toContain("tessera serve --repair");

    const listed = await serve("--repair");
    expect(listed.code).toBe(1);
    expect(listed.out).toContain(`${log}: 2 entries are whole`);
    expect(listed.out).toMatch(/00000001\.log: \d+ bytes from byte \d+ on are lost/);
    expect(listed.out).toContain("nothing was changed: add --drop-damaged");
    expect(readFileSync(path)).toEqual(bytes);
    const { logs } = JSON.parse((await serve("--repair", "--json")).out);
    expect(logs).toMatchObject([{ log, kept: 2, damages: [{ path }] }]);

    const alone = await serve("--drop-damaged");
    expect([alone.code, alone.err]).toEqual([2, expect.stringContaining("--drop-damaged goes with --repair")]);

    const held = await WriterLock.acquire(service);
    const busy = await serve("--repair", "--drop-damaged");
    expect([busy.code, busy.err]).toEqual([1, expect.stringContaining("INDEX_LOCKED")]);
    await held.release();

    const repaired = await serve("--repair", "--drop-damaged");
    expect(repaired.code).toBe(0);
    const [, moved = ""] = /the damaged log lies in (\S+)/.exec(repaired.out) ?? [];
    expect(readFileSync(join(moved, "00000001.log"))).toEqual(bytes);
    expect(await keys()).toEqual(["note/a", "note/c"]);
    expect(await serve("--repair")).toMatchObject({ code: 0, out: "every log is whole\n" });
    expect(existsSync(moved)).toBe(true);
  });
});
