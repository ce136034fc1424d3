import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import type { PlacePackage } from "./place-set.js";

/** Where fetched packages are kept. */
const packagesFolder = (): string => join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "tessera", "places");

function run(command: string, given: readonly string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, given, { cwd, stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(said.trim().split("\n").at(-1)))));
  });
}

/** How each registry's own client downloads a package into a folder. */
const downloads: Record<PlacePackage["from"], (name: string, version: string) => [string, string[]]> = {
  npm: (name, version) => ["npm", ["pack", "--silent", `${name}@${version}`]],
  pypi: (name, version) => ["pip", ["download", "--quiet", "--no-deps", "--no-binary", ":all:", `${name}==${version}`]],
  debian: (name, version) => ["apt-get", ["download", "--quiet", `${name}=${version}`]],
};

/**
 * The folder of a package's files, which is fetched by its registry's client where it is not there yet.
 * @throws TesseraError DEPENDENCY_MISSING where the client or the package is not to be had
 */
export async function fetchPackage(
  name: string,
  { from, version, name: registered = name }: PlacePackage,
): Promise<string> {
  const folder = join(packagesFolder(), `${name}-${version.replace(/[^\w.+-]/g, "_")}`);
  if (existsSync(folder)) return folder;
  await mkdir(packagesFolder(), { recursive: true });
  const temporary = await mkdtemp(join(packagesFolder(), ".fetching-"));
  try {
    const [command, given] = downloads[from](registered, version);
    await run(command, given, temporary);
    const [archive] = await readdir(temporary);
    if (archive === undefined) throw new Error("nothing was downloaded");
    await mkdir(join(temporary, "files"));
    if (from === "debian") await run("dpkg-deb", ["-x", archive, "files"], temporary);
    else await run("tar", ["xzf", archive, "-C", "files", "--strip-components=1"], temporary);
    await rename(join(temporary, "files"), folder);
    return folder;
  } catch (cause) {
    throw new TesseraError("DEPENDENCY_MISSING", `the package ${name} ${version} cannot be fetched`, {
      path: name,
      hint: `it comes from ${from} by its own client, which needs the network`,
      cause,
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}
