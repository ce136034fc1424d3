// lets Node run the TypeScript sources as they are, in worker threads and child processes too (they inherit execArgv):
//   node --conditions=@tessera/source --import=…/apps/setup/sources.mjs main.ts
import { existsSync, readFileSync } from "node:fs";
import { createRequire, register } from "node:module";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";

/** "./worker.js" beside a "./worker.ts" means the source. */
export async function resolve(specifier, context, next) {
  if (/^(?:\.|\/|file:).*\.js$/.test(specifier) && !specifier.includes("/node_modules/")) {
    const url = new URL(specifier.replace(/\.js$/, ".ts"), context.parentURL ?? "file:///");
    if (url.protocol === "file:" && existsSync(fileURLToPath(url)))
      return { url: url.href, format: "module", shortCircuit: true };
  }
  return next(specifier, context);
}

let transformSync;

export async function load(url, context, next) {
  if (!url.startsWith("file:") || !url.endsWith(".ts") || url.includes("/node_modules/")) return next(url, context);
  transformSync ??= createRequire(import.meta.url)("@swc/core").transformSync;
  const path = fileURLToPath(url);
  const { code } = transformSync(readFileSync(path, "utf8"), {
    filename: path,
    jsc: { parser: { syntax: "typescript" }, target: "es2023" },
    module: { type: "es6" },
    sourceMaps: "inline",
  });
  return { format: "module", source: code, shortCircuit: true };
}

// the hooks themselves are loaded in a thread of their own, where there is nothing to register
if (process.execArgv.some((flag) => flag.includes("sources.mjs")) && !globalThis[Symbol.for("tessera.sources")]) {
  globalThis[Symbol.for("tessera.sources")] = true;
  if (isMainThread || true) register(import.meta.url);
}
