import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "@jest/globals";
import { needs } from "@tessera/testkit";

const peers = fileURLToPath(new URL("../../peers/", import.meta.url));
const sources = fileURLToPath(new URL("..", import.meta.url));
const { optionalDependencies } = JSON.parse(readFileSync(join(peers, "package.json"), "utf8")) as {
  optionalDependencies: Readonly<Record<string, string>>;
};

/** What the benches ask for: the addresses in calls of `peer`. */
const asked = readdirSync(sources, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
  .flatMap((file) => [...readFileSync(join(sources, file), "utf8").matchAll(/\bpeer<.*?>\("([^"]+)"\)/gs)])
  .map(([, address]) => address!);

const packageOf = (address: string): string => address.split("/", address.startsWith("@") ? 2 : 1).join("/");

/** What a package and those below it bring along, by the lockfile. */
function broughtBy(name: string): Set<string> {
  const [, snapshots = ""] = readFileSync(join(peers, "pnpm-lock.yaml"), "utf8").split("\nsnapshots:\n");
  const below = new Map<string, string[]>();
  let last: string[] = [];
  for (const line of snapshots.split("\n")) {
    const [, key] = /^ {2}'?([^\s'][^']*?)'?:/.exec(line) ?? [];
    const [, dependency, version] = /^ {6}'?([^\s':]+)'?: '?(\S+?)'?$/.exec(line) ?? [];
    if (key) {
      last = [];
      below.set(key, last);
    } else if (dependency) last.push(`${dependency}@${version}`);
  }
  const found = new Set<string>();
  const open = [...below.keys()].filter((key) => key.startsWith(`${name}@`));
  expect(open).not.toEqual([]);
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    if (found.has(one)) continue;
    found.add(one);
    open.push(...(below.get(one) ?? []));
  }
  return found;
}

describe("what is measured beside us", () => {
  it("is named with an exact version, and nothing else is installed", () => {
    expect(asked.length).toBeGreaterThan(5);
    expect(new Set(asked.map(packageOf))).toEqual(new Set(Object.keys(optionalDependencies)));
    for (const version of Object.values(optionalDependencies)) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  // E-44 of the fault book: in a fresh clone Genkit found no express
  it("brings all that it needs with it: Genkit its express", () => {
    const express = [...broughtBy("genkit")].filter((one) => one.startsWith("express@"));
    expect(express).toEqual([expect.stringMatching(/^express@[45]\./)]);
  });

  const installed = existsSync(join(peers, "node_modules"));
  needs(installed, "the peers are not installed: npm run bench -- engine installs them")(
    "can be loaded from where it is installed",
    async () => {
      const program = `for (const one of ${JSON.stringify(asked)}) await import(one); console.log("loaded")`;
      const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program], {
        cwd: peers,
      });
      expect(stdout).toBe("loaded\n");
    },
  );
});
