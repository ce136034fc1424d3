import { execFile } from "node:child_process";

const most = 256 << 20; // bytes of paths

/** What git says in a folder, or `undefined` where there is no git, or it does not answer. */
function git(folder: string, ...words: string[]): Promise<string | undefined> {
  // nothing that a repository configures is run
  const safe = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=", "-c", "core.untrackedCache=false"];
  const { GIT_DIR: _, GIT_WORK_TREE: __, GIT_INDEX_FILE: ___, ...env } = process.env;
  return new Promise((resolve) => {
    execFile(
      "git",
      [...safe, "-C", folder, ...words],
      { maxBuffer: most, env: { ...env, GIT_OPTIONAL_LOCKS: "0", LC_ALL: "C" }, encoding: "utf8" },
      (error, out) => resolve(error ? undefined : out),
    );
  });
}

/**
 * The paths below a folder that git ignores, with "/" at the end of folders; what is in one of them is ignored too. Git's
 * own rules hold: those of the user, of the repository, its case, and that a tracked file is never ignored.
 * @returns undefined where there is no git, or where it ignores the folder itself
 */
export async function gitIgnored(folder: string): Promise<ReadonlySet<string> | undefined> {
  const [ignored, itself] = await Promise.all([
    git(folder, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory", "--", "."),
    git(folder, "check-ignore", "-q", "--", "."),
  ]);
  // check-ignore ends with 0 where the folder is ignored
  if (ignored === undefined || itself !== undefined) return undefined;
  return new Set(ignored.split("\0").filter((path) => path !== "" && path !== "./"));
}

// folders of tools, whatever stands beside them
const always = new Set([
  "__pycache__",
  ".cache",
  ".gradle",
  ".mypy_cache",
  ".next",
  ".nuxt",
  ".parcel-cache",
  ".pytest_cache",
  ".ruff_cache",
  ".svelte-kit",
  ".terraform",
  ".tox",
  ".turbo",
  ".venv",
  "bower_components",
]);
// folders that a build writes, where a file beside them says that there is one
const built = new Set(["bin", "build", "coverage", "dist", "obj", "out", "target", "vendor", "venv"]);
const manifest =
  /^(?:package\.json|Cargo\.toml|pom\.xml|build\.gradle(?:\.kts)?|setup\.py|pyproject\.toml|CMakeLists\.txt|go\.mod|composer\.json|Gemfile|.*\.(?:csproj|sln|cabal))$/;

/** Whether a folder that is in no repository holds what a build or a tool wrote, by its name and its neighbours. */
export const isBuilt = (name: string, neighbours: readonly string[]): boolean =>
  always.has(name) || (built.has(name) && neighbours.some((one) => manifest.test(one)));
