import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";

const dist = new URL("../../dist/measure/process.js", import.meta.url).href;

// E-45 of the fault book: the engine bench did not end after its table, since a child that failed to start was left behind
describe("a system in a process of its own", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tessera-process-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each([
    ["throws", 'throw new Error("cannot be loaded")'],
    ["throws, and holds its process", 'setInterval(() => {}, 1000); throw new Error("cannot be loaded")'],
    ["ends at once", "process.exit(3)"],
    ["is killed", 'process.kill(process.pid, "SIGKILL")'],
  ])("that cannot be set up since it %s: the reason is told, and who asked can end", async (_, code) => {
    const module = join(folder, "broken.mjs");
    const main = join(folder, "main.mjs");
    await writeFile(module, `export const systems = { broken: async () => { ${code} } };`);
    await writeFile(
      main,
      `const { SystemProcess } = await import(${JSON.stringify(dist)});
       await SystemProcess.start(${JSON.stringify(module)}, "broken").catch((error) => console.log("told:", error.message));`,
    );
    // without the child's end this one would never end: the test would run into its limit
    const { stdout } = await promisify(execFile)(process.execPath, [main]);
    expect(stdout).toMatch(/^told: (cannot be loaded|its process ended with)/);
  });
});
