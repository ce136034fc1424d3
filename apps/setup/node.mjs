// makes sure that a Node that Tessera supports runs what follows, and runs any program that way:
//   node apps/setup/node.mjs [options of Node] program.mjs [arguments]
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { fetchPackage, root, SetupError, say } from "./fetch.mjs";

/** The oldest Node that Tessera runs on: the first 22 that gives ES modules to `require`. */
export const floor = "22.12";
/** The oldest Node on which a checkout works: its sources run through `registerHooks` of node:module. */
const sourcesRunOn = [22, 15];
/** The oldest Node that the root commands start on: it can fetch the pinned one. */
const oldest = [20, 19];
/** The Node that is fetched where the machine's own is older than the floor. */
export const pinnedNode = "24.21.0";

/** The package of the registry that carries Node's program for a platform, as the package `node` chooses it. */
export function nodePackage(platform, arch) {
  const prefix = platform === "darwin" && arch === "arm64" ? "node-bin" : "node";
  return [prefix, platform === "win32" ? "win" : platform, arch].join("-");
}

const name = nodePackage(process.platform, process.arch);
const folder = join(root, ".tessera", `node-${pinnedNode}`);
const file = join("node_modules", name, "bin", process.platform === "win32" ? "node.exe" : "node");
const fetched = join(folder, file);

/** Whether a version such as "v20.20.2" is at least a major and minor one. */
export function isAtLeast(version, major, minor = 0) {
  const [ownMajor, ownMinor] = version.replace(/^v/, "").split(".").map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

/** The path of a supported Node: this one, or a pinned one that is fetched into this folder. */
function supportedNode() {
  if (isAtLeast(process.version, ...sourcesRunOn)) return process.execPath;
  if (!isAtLeast(process.version, ...oldest))
    throw new SetupError(`Tessera needs Node ${floor} or later; this is ${process.version}.`);
  if (!existsSync(fetched)) {
    const why = `a checkout needs Node ${sourcesRunOn.join(".")} or later, and this is ${process.version}; it stays in this folder`;
    fetchPackage({ name, version: pinnedNode, folder, file, why });
  }
  return fetched;
}

/** Runs Node with these arguments in this process's place, and ends as it ends. Never resolves. */
function replaceBy(node, args) {
  const child = spawn(node, args, {
    stdio: "inherit",
    env: { ...process.env, PATH: [dirname(node), process.env.PATH].join(delimiter) },
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    say(`${node} cannot be run: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (!signal) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
  return new Promise(() => {});
}

/** Resolves where this Node is supported. Elsewhere the same program is run by a supported one, and this never resolves. */
export async function onSupportedNode() {
  const node = supportedNode();
  if (node !== process.execPath) await replaceBy(node, [...process.execArgv, ...process.argv.slice(1)]);
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  try {
    await replaceBy(supportedNode(), process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    process.exitCode = 1;
  }
