// a process that updates an index is killed at random moments
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "@jest/globals";
import { Codebase, type Participant } from "./codebase.js";

const folder = mkdtempSync(join(tmpdir(), "tessera-kill-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const [root, index] = [join(folder, "root"), join(folder, "index")];
const here = (path: string) => new URL(path, import.meta.url);

// says "start", then updates; the participant writes many files, as a store would
const participantSource = `{
  name: "store",
  revision: "1",
  async write({ folder, added, changed }) {
    for (let i = 0; i < 30; i++) await writeFile(join(folder, "part" + i), [...added, ...changed].map(({ text }) => text).join(""));
  },
}`;
const program = `
  import { writeFile } from "node:fs/promises";
  import { join } from "node:path";
  import { Codebase } from ${JSON.stringify(here("./codebase.ts").href)};
  const [root, index] = process.argv.slice(-2);
  process.on("message", async () => {
    process.send("start");
    await Codebase.update(index, { root, participants: [${participantSource}] });
    process.send("done");
  });
  process.send("ready");
`;

const files = 40;
function putVersion(version: number): void {
  mkdirSync(root, { recursive: true });
  for (let i = 0; i < files; i++)
    writeFileSync(join(root, `f${i}.ts`), `export function f${i}() {\n  return ${version};\n}\n`);
}

function start(): ChildProcess {
  return spawn(
    process.execPath,
    [
      "--conditions=@tessera/source",
      `--import=${here("../../../../apps/setup/sources.mjs").href}`,
      "--input-type=module",
      "--eval",
      program,
      "--",
      root,
      index,
    ],
    { stdio: ["ignore", "inherit", "inherit", "ipc"], cwd: fileURLToPath(here("..")) },
  );
}

const said = (child: ChildProcess, word: string) =>
  new Promise<void>((resolve, reject) => {
    child.on("message", (message) => message === word && resolve());
    child.on("exit", () => reject(new Error(`it ended before it said ${word}`)));
  });
const ended = (child: ChildProcess) => new Promise<void>((resolve) => child.on("exit", () => resolve()));

/** The version that an index holds; fails where it holds parts of two. */
async function versionIn(): Promise<number> {
  const codebase = await Codebase.open(index);
  const passages = await codebase.passages();
  expect(passages).toHaveLength(files);
  const versions = new Set(passages.map(({ text }) => Number(/return (\d+)/.exec(text)![1])));
  expect(versions.size).toBe(1);
  const [version] = versions;
  const store = readFileSync(join(codebase.folderOf("store"), "part29"), "utf8");
  expect(new Set(store.match(/return \d+/g))).toEqual(new Set([`return ${version}`]));
  return version!;
}

describe("a kill at a random moment of an update", () => {
  it("leaves the old index or the new one, and the next update goes on", async () => {
    const participant: Participant = {
      name: "store",
      revision: "1",
      async write({ folder: own, added, changed }) {
        writeFileSync(join(own, "part29"), [...added, ...changed].map(({ text }) => text).join(""));
      },
    };
    putVersion(0);
    await Codebase.update(index, { root, participants: [participant] });

    // how long it takes when nobody kills it
    putVersion(1);
    const unhurt = start();
    await said(unhurt, "ready");
    const begun = performance.now();
    unhurt.send("go");
    await said(unhurt, "done");
    const whole = performance.now() - begun;
    unhurt.disconnect();
    expect(await versionIn()).toBe(1);

    let version = 1;
    const kept = { old: 0, new: 0 };
    const rounds = 10;
    let next = start();
    for (let round = 0; round < rounds; round++) {
      const child = next;
      const exit = ended(child);
      await said(child, "ready");
      putVersion(version + 1);
      child.send("go");
      await said(child, "start");
      // the moments are spread evenly, each shifted at random within its share
      await new Promise((resolve) => setTimeout(resolve, ((round + Math.random()) / rounds) * whole * 1.2));
      child.kill("SIGKILL");
      if (round + 1 < rounds) next = start();
      await exit;
      const found = await versionIn();
      expect([version, version + 1]).toContain(found);
      kept[found === version ? "old" : "new"]++;
      version = found;
    }
    expect(kept.old).toBeGreaterThan(0);

    // the lock of the last one killed stops nobody
    putVersion(version + 1);
    await Codebase.update(index, { root, participants: [participant] });
    expect(await versionIn()).toBe(version + 1);
    expect(readdirSync(index).filter((name) => !name.startsWith("generation-"))).toEqual(["index.json"]);
  });
});
