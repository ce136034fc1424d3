// what a build leaves of sources that are gone is not packed
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";

const made = /\.(?:d\.ts|js)$/;

/** Whether tsc alone makes `dist`: what a bundler makes has names of its own, and the bundler clears them. */
const isByTsc = (folder) =>
  /^tsc\b[^&|;]*$/.test(JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).scripts?.build ?? "");

/** Removes from `dist` every file that none of `src` makes: tsc writes over its output, and never clears it. */
export function sweep(folder) {
  const dist = join(folder, "dist");
  if (!existsSync(join(folder, "src")) || !existsSync(dist) || !isByTsc(folder)) return;
  for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const source = join(folder, "src", relative(dist, path));
    const isMade = made.test(path) && [".ts", ".tsx", ".js"].some((end) => existsSync(source.replace(made, end)));
    if (!isMade && !existsSync(source)) rmSync(path);
  }
}
