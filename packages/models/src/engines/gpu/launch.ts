// internal: launchWith
import type { ForkOptions } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

const loaders = ["ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"];

/**
 * How a process is started that uses the Vulkan driver of this JSON file. A driver's own libvulkan lies beside it where
 * the machine has none; a driver built for a newer C library than the machine's brings that library and its loader too.
 */
export function launchWith(driver: string | undefined): Pick<ForkOptions, "env" | "execPath" | "execArgv"> {
  if (driver === undefined) return { env: { ...process.env } };
  const folder = dirname(driver);
  const env = { ...process.env, VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver };
  const loader = loaders.map((name) => join(folder, name)).find((path) => existsSync(path));
  if (loader === undefined)
    return {
      env: { ...env, LD_LIBRARY_PATH: [process.env.LD_LIBRARY_PATH, folder].filter(Boolean).join(":") },
    };
  return { env, execPath: loader, execArgv: ["--library-path", folder, process.execPath, ...process.execArgv] };
}
