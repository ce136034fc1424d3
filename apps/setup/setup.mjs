// makes a checkout ready to run: pnpm in its pinned version, the dependencies, the build; a second call only looks
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { fetchPackage, must, readJson, root, SetupError, say } from "./fetch.mjs";
import { onSupportedNode } from "./node.mjs";

export { readJson, root, SetupError, say };

const pinned = /^pnpm@(\d+\.\d+\.\d+)/.exec(readJson(join(root, "package.json")).packageManager)[1];
const pnpmFolder = join(root, ".tessera", `pnpm-${pinned}`);
const pnpmBin = join(pnpmFolder, "node_modules", ".bin");
const installStamp = join(root, "node_modules", ".tessera-install");
const buildStamp = join(root, ".tessera", "build");

/** The folder of Node's own headers where they are installed and fit the running version: native modules need no download. */
export function headersFolder() {
  const candidates = [
    process.env.npm_config_nodedir,
    dirname(dirname(realpathSync(process.execPath))),
    "/usr",
    "/usr/local",
  ];
  return candidates.find((folder) => {
    const header = folder && join(folder, "include", "node", "node_version.h");
    if (!header || !existsSync(header)) return false;
    return (
      /#define NODE_MAJOR_VERSION (\d+)/.exec(readFileSync(header, "utf8"))?.[1] === process.versions.node.split(".")[0]
    );
  });
}

/** The environment in which pnpm, turbo and the tests run: it finds this checkout's tools first, and reports to nobody. */
export function environment() {
  const headers = headersFolder();
  return {
    ...process.env,
    PATH: [pnpmBin, dirname(process.execPath), process.env.PATH].join(delimiter),
    TURBO_TELEMETRY_DISABLED: "1",
    TURBO_NO_UPDATE_NOTIFIER: "1",
    DO_NOT_TRACK: "1",
    ...(headers && { npm_config_nodedir: headers }),
  };
}

const pnpm = {
  name: "pnpm",
  version: pinned,
  folder: pnpmFolder,
  file: join("node_modules", "pnpm", "bin", "pnpm.mjs"),
  why: "it installs the dependencies",
};

/** The pinned pnpm, which a set-up fetches. Run it with Node, in `environment()`. */
export const pnpmScript = join(pnpm.folder, pnpm.file);

/** The folder of every package and app. */
export const workspaces = () =>
  ["packages", "packages/operators", "apps"].flatMap((parent) =>
    readdirSync(join(root, parent))
      .map((name) => join(root, parent, name))
      .filter((folder) => existsSync(join(folder, "package.json"))),
  );

const hash = (parts) => createHash("sha256").update(parts.join("\0")).digest("hex");
const stamped = (path) => (existsSync(path) ? readFileSync(path, "utf8") : undefined);

const installKey = () =>
  hash([
    `${process.platform} ${process.arch} ${process.versions.modules} ${pinned} ${hasCompiler()}`,
    ...["package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml"]
      .map((name) => join(root, name))
      .concat(workspaces().map((folder) => join(folder, "package.json")))
      .map((path) => readFileSync(path, "utf8")),
  ]);

const notSources = new Set(["node_modules", "dist", ".test", ".turbo", "__pycache__", ".venv"]);

/** Path, size and time of every source: enough to know that nothing changed, without reading it. */
function* sourceFiles(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!notSources.has(entry.name)) yield* sourceFiles(path);
    } else if (/\.(tsx?|js|json|css|html|svg)$/.test(entry.name) && !entry.name.endsWith(".test.ts")) {
      const { size, mtimeMs } = statSync(path);
      yield `${path} ${size} ${mtimeMs}`;
    }
  }
}

const buildKey = () => hash([installKey(), ...workspaces().flatMap((folder) => [...sourceFiles(folder)])]);
const isBuilt = (folder) => !readJson(join(folder, "package.json")).scripts?.build || existsSync(join(folder, "dist"));

/** Whether hnswlib-node was compiled. It is optional: the exact store serves where it was not. */
export function hasHnsw() {
  try {
    createRequire(join(root, "packages/stores/package.json"))("hnswlib-node");
    return true;
  } catch {
    return false;
  }
}

/** Whether a C++ compiler is here: where one arrives later, the next set-up compiles what it could not before. */
const hasCompiler = () =>
  (process.env.PATH ?? "")
    .split(delimiter)
    .some((folder) => [process.env.CXX ?? "c++", "g++", "clang++"].some((name) => existsSync(join(folder, name))));

/** Compiles hnswlib-node once more: pnpm does not try again where it failed before. */
function compileHnsw() {
  const folder = join(root, "packages/stores/node_modules/hnswlib-node");
  const gyp = join(pnpmFolder, "node_modules", "pnpm", "dist", "node_modules", "node-gyp", "bin", "node-gyp.js");
  if (existsSync(folder) && existsSync(gyp))
    spawnSync(process.execPath, [gyp, "rebuild"], { cwd: realpathSync(folder), env: environment(), stdio: "ignore" });
}

function install() {
  const key = installKey();
  if (stamped(installStamp) === key) return;
  say("installing the dependencies …");
  rmSync(installStamp, { force: true });
  must(
    "Installing the dependencies",
    process.execPath,
    [join(pnpm.folder, pnpm.file), "install", "--frozen-lockfile", "--config.confirmModulesPurge=false"],
    environment(),
  );
  writeFileSync(installStamp, key);
  if (!hasHnsw()) compileHnsw();
  if (!hasHnsw())
    say("hnswlib-node could not be compiled here (is there a C++ compiler?): the exact store serves instead.");
}

function build() {
  const key = buildKey();
  if (stamped(buildStamp) === key && workspaces().every(isBuilt)) return;
  say("building …");
  must("Building", process.execPath, [...turbo, "run", "build", "--output-logs=errors-only"], environment());
  writeFileSync(buildStamp, key);
}

/** The arguments with which Node runs turbo. */
export const turbo = [join(root, "node_modules", "turbo", "bin", "turbo")];

/**
 * Makes the checkout ready.
 * @throws SetupError with the output of what failed and what to do about it.
 */
export function setup({ built = true } = {}) {
  fetchPackage(pnpm);
  install();
  if (built) build();
}

/** Runs the main function of a command on a supported Node. A set-up that fails is reported without a stack trace. */
export async function main(work) {
  try {
    await onSupportedNode();
    await work();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(`\n${error.message}`);
    process.exitCode = 1;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(() => setup());
