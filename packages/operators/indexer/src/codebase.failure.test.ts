// every call that the index makes to the file system is made to fail, one after the other
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import * as real from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, jest } from "@jest/globals";
import { TesseraError } from "@tessera/core";
import type { Participant } from "./codebase.js";

const faults = { at: Number.POSITIVE_INFINITY, count: 0, forever: false };

/** Counts a call, and fails it where its number is up: once, or from then on, as where the process is gone. */
function pass(): void {
  const number = faults.count++;
  if (number === faults.at || (faults.forever && number > faults.at))
    throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
}

const wrapHandle = (handle: real.FileHandle): real.FileHandle =>
  new Proxy(handle, {
    get(target, key) {
      const value = Reflect.get(target, key) as unknown;
      if (typeof value !== "function") return value;
      return async (...args: unknown[]) => {
        if (key === "writeFile" || key === "sync") pass();
        return (value as (...args: unknown[]) => unknown).apply(target, args);
      };
    },
  });

jest.unstable_mockModule("node:fs/promises", () => {
  const functions: Record<string, unknown> = { ...real };
  const wrapped = { ...functions };
  for (const name of ["mkdir", "rename", "rm", "writeFile", "readFile", "readdir", "utimes"] as const)
    wrapped[name] = async (...args: unknown[]) => {
      pass();
      return (functions[name] as (...args: unknown[]) => unknown)(...args);
    };
  wrapped.open = async (...args: Parameters<typeof real.open>) => {
    pass();
    return wrapHandle(await real.open(...args));
  };
  return wrapped;
});
const { Codebase } = await import("./codebase.js");

const folder = mkdtempSync(join(tmpdir(), "tessera-failure-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const participant: Participant = {
  name: "count",
  revision: "1",
  write: async ({ folder, added }) => real.writeFile(join(folder, "count"), String(added.length)),
};

/** An index of one version of a folder, and the folder at the next version. */
async function prepare(name: string) {
  faults.at = Number.POSITIVE_INFINITY;
  const [root, index] = [join(folder, name, "root"), join(folder, name, "index")];
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, "a.ts"), "export function old() {\n  return 1;\n}\n");
  await Codebase.update(index, { root, participants: [participant] });
  writeFileSync(join(root, "a.ts"), "export function young() {\n  return 2;\n}\n");
  writeFileSync(join(root, "b.ts"), "export function other() {\n  return 3;\n}\n");
  return { root, index, update: () => Codebase.update(index, { root, participants: [participant] }) };
}

const symbolsIn = async (index: string) =>
  (await (await Codebase.open(index)).passages()).map(({ source }) => source?.symbol).join();

describe("whatever call to the file system fails", () => {
  for (const forever of [false, true])
    it(`the index is the old one or the new one (${forever ? "and all calls after it, as in a crash" : "once"})`, async () => {
      const outcomes = { old: 0, new: 0 };
      let calls = 0;
      for (let at = 0; ; at++) {
        const { index, update } = await prepare(`${forever}-${at}`);
        Object.assign(faults, { at, count: 0, forever });
        const result = await update().then(
          ({ report }) => (report.skipped.length > 0 ? "partly" : "done"),
          (error: unknown) => error,
        );
        calls = faults.count;
        faults.at = Number.POSITIVE_INFINITY;
        if (typeof result !== "string") expect(TesseraError.is(result)).toBe(true);

        const symbols = await symbolsIn(index);
        // a source that could not be read was said to be, and keeps what was known of it
        expect(result === "partly" ? ["old", "old,other", "young"] : ["old", "young,other"]).toContain(symbols);
        if (result === "done" && at >= calls) {
          expect(symbols).toBe("young,other");
          break; // there are no more calls
        }
        outcomes[symbols.startsWith("old") ? "old" : "new"]++;
        // what remains of it stops nobody: the next update gives the new index and sweeps up
        rmSync(join(index, "lock"), { force: true }); // this process lives, so its lock would count
        await update();
        expect(await symbolsIn(index)).toBe("young,other");
        const rest = readdirSync(index).filter((name) => !name.startsWith("generation-"));
        expect(rest).toEqual(["index.json"]);
        expect(readdirSync(index).length).toBeLessThanOrEqual(3);
        rmSync(join(folder, `${forever}-${at}`), { recursive: true });
      }
      expect(calls).toBeGreaterThan(20);
      expect(outcomes.old).toBeGreaterThan(10);
      expect(outcomes.new).toBeGreaterThan(0);
    });
});
