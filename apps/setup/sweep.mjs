// what a build leaves of sources that are gone is not packed
import { existsSync, globSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const besides = /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\w*\(|new URL\()["'](\.\.?\/[^"']+)["']/g;

/** The paths that package.json says someone may begin with. */
const named = (value) =>
  typeof value === "string" ? [value] : value && typeof value === "object" ? Object.values(value).flatMap(named) : [];

/** The files of `dist` that something reaches from what package.json names, as paths relative to the folder. */
function reached(folder, { exports, bin }) {
  const found = new Set();
  const visit = (path) => {
    if (found.has(path) || !existsSync(join(folder, path))) return;
    found.add(path);
    if (!/\.[cm]?[jt]s$/.test(path)) return;
    for (const [, place] of readFileSync(join(folder, path), "utf8").matchAll(besides)) {
      const next = relative(folder, join(folder, dirname(path), place));
      // types name the file that is run
      visit(path.endsWith(".d.ts") ? next.replace(/\.js$/, ".d.ts") : next);
    }
  };
  for (const path of [...named(exports), ...named(bin)]) visit(relative(folder, join(folder, path)));
  return found;
}

/**
 * Removes from `dist` every file that nothing reaches: what the sources no longer make, and types that only our own
 * sources import. It leaves alone what another tool builds.
 */
export function sweep(folder) {
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  // another bundler clears its own files
  if (manifest.scripts?.build !== "tessera-build") return;
  const kept = reached(folder, manifest);
  for (const path of globSync("dist/**/*.{js,cjs,d.ts}", { cwd: folder }))
    if (!kept.has(path)) rmSync(join(folder, path));
}
