import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The commit that figures of today are compared with. */
export const baselineCommit = "cf1deb2";

const root = fileURLToPath(new URL("../../../../", import.meta.url));
const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "tessera", `baseline-${baselineCommit}`);

function must(command: string, given: readonly string[], cwd: string): void {
  const { status, error, stderr } = spawnSync(command, given, {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe"],
  });
  if (status === 0) return;
  throw new Error(`${command} ${given.join(" ")}: ${error?.message ?? stderr.trim().split("\n").at(-1)}`);
}

let built = false;

/**
 * The folder of a checkout of `baselineCommit`: a worktree of this repository with an install and a build of its own, made
 * on first use (minutes) in the cache folder of the user.
 * @throws Error where git or the install fails, with the reason in one line
 */
export function baseline(): string {
  if (built) return folder;
  if (!existsSync(join(folder, "package.json"))) {
    console.error(`Making a checkout of ${baselineCommit} in ${folder}, once …`);
    mkdirSync(dirname(folder), { recursive: true });
    must("git", ["worktree", "prune"], root);
    must("git", ["worktree", "add", "--detach", "--force", folder, baselineCommit], root);
  }
  // looks only, where it was set up before
  must(process.execPath, [join("apps", "setup", "setup.mjs")], folder);
  built = true;
  return folder;
}

/** The address of a built module of the baseline: a package or app, and a file of its `dist`. */
export const baselineModule = (place: `packages/${string}` | `apps/${string}`, file = "index.js"): string =>
  pathToFileURL(join(baseline(), place, "dist", file)).href;
