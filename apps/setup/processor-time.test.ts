import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { expect, it } from "@jest/globals";
import { descendantsSeconds } from "./processor-time.mjs";

const onLinux = (name: string, test: () => void): void =>
  existsSync("/proc/self/stat") ? it(name, test) : it.skip(`${name} (this system has no /proc)`, test);

/** Works for as many milliseconds of processor time, and says how many it has taken when it ends. */
const work = (milliseconds: number): string => `
  while (process.cpuUsage().user < ${1000 * milliseconds});
  const { user, system } = process.cpuUsage();
  console.log((user + system) / 1e6);`;

onLinux("counts the processor time of children and of theirs, once they have ended", () => {
  const grandchild = `const { spawnSync } = require("node:child_process");
    process.stdout.write(spawnSync(process.execPath, ["--eval", ${JSON.stringify(work(300))}]).stdout);`;
  const before = descendantsSeconds()!;
  const said = [work(200), grandchild].map((program) =>
    Number(spawnSync(process.execPath, ["--eval", program]).stdout.toString()),
  );
  const counted = descendantsSeconds()! - before;
  const least = said.reduce((sum, seconds) => sum + seconds, 0);
  expect(least).toBeGreaterThan(0.5);
  // a tick is a hundredth of a second; the start of three processes comes on top
  expect(counted).toBeGreaterThan(least - 0.05);
});

onLinux("is unknown for a process that is not there", () => {
  expect(descendantsSeconds("none")).toBeUndefined();
});
