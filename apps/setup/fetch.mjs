// brings a pinned package of the npm registry into this folder, and runs commands that must succeed
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** What stops a set-up, with what to do about it. */
export class SetupError extends Error {}

/** Progress for people. Standard output belongs to the program that runs next. */
export const say = (line) => process.stderr.write(`${line}\n`);

export const readJson = (path) => JSON.parse(readFileSync(path, "utf8"));

const advice = [
  [/OUTDATED_LOCKFILE/, 'package.json and pnpm-lock.yaml differ: run "pnpm install" and commit the lockfile.'],
  [/ENOSPC/, "The disk is full."],
  [/EACCES|EPERM|EROFS/, "A file may not be written: check who owns this folder (nothing here needs sudo)."],
  [
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ERR_SOCKET|META_FETCH_FAIL/,
    "The package registry cannot be reached: check the network, and npm's registry and proxy settings (npm config list).",
  ],
  [/error TS\d+/, "The sources do not compile: mend the type errors above."],
];

/**
 * Runs a command silently and returns what it printed. Its output is shown only where it fails.
 * @throws SetupError with the end of the output and what to do about it.
 */
export function must(what, command, args, env = process.env) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 1 << 28,
    shell: process.platform === "win32" && !command.endsWith(".exe"),
  });
  if (status === 0) return stdout;
  const output = `${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}`.trimEnd();
  const hint =
    advice.find(([pattern]) => pattern.test(output))?.[1] ??
    "Mend what is named above, then run the same command again.";
  throw new SetupError(`${output.split("\n").slice(-40).join("\n")}\n\n${what} failed. ${hint}`);
}

/** Installs one package with npm into a folder of its own. `file`, within that folder, tells whether it is there already. */
export function fetchPackage({ name, version, folder, file, why }) {
  if (existsSync(join(folder, file))) return;
  say(`fetching ${name} ${version} (${why}) …`);
  const npm = process.env.npm_execpath;
  const [command, ...before] = npm && basename(npm) === "npm-cli.js" ? [process.execPath, npm] : ["npm"];
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  const options = ["install", "--prefix", folder, "--no-audit", "--no-fund", "--loglevel=error"];
  must(`Fetching ${name}`, command, [...before, ...options, `${name}@${version}`]);
  if (!existsSync(join(folder, file)))
    throw new SetupError(`${name} ${version} was fetched, but ${join(folder, file)} is not in it.`);
}
