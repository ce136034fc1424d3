import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const folder = fileURLToPath(new URL("../../peers/", import.meta.url));
const require = createRequire(join(folder, "package.json"));

const resolved = (name: string): string | undefined => {
  try {
    return require.resolve(name);
  } catch {
    return undefined;
  }
};

let tried = false;

async function install(): Promise<void> {
  if (tried) return;
  tried = true;
  console.error("Installing what this bench measures beside us, once (some of it is compiled; this takes minutes) …");
  const { environment, pnpmScript } = (await import(new URL("../../../setup/setup.mjs", import.meta.url).href)) as {
    environment: () => NodeJS.ProcessEnv;
    pnpmScript: string;
  };
  const { status, error } = spawnSync(
    process.execPath,
    [pnpmScript, "install", "--ignore-workspace", "--frozen-lockfile", "--reporter=append-only", "--loglevel=error"],
    { cwd: folder, env: environment(), stdio: ["ignore", 2, 2] },
  );
  if (status !== 0)
    console.error(`The peers could not be installed: ${error?.message ?? `pnpm ended with ${status}`}.`);
}

/**
 * A package that is measured beside us. It is no dependency of the workspace: it lives in apps/bench/peers, and is
 * installed on first use.
 * @throws Error where it cannot be had, with the reason in one line
 */
export async function peer<T>(name: string): Promise<T> {
  if (!resolved(name)) await install();
  const path = resolved(name);
  if (!path) throw new Error(`${name} could not be installed in apps/bench/peers`);
  try {
    return (await import(pathToFileURL(path).href)) as T;
  } catch (error) {
    throw new Error(`${name} could not be loaded: ${(error as Error).message.split("\n")[0]}`);
  }
}
