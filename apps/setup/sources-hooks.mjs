// the module hooks behind sources.mjs
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

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
    // Nest's decorators are those of TypeScript before the standard's
    jsc: {
      parser: { syntax: "typescript", decorators: true },
      transform: { legacyDecorator: true, decoratorMetadata: true },
      target: "es2023",
    },
    module: { type: "es6" },
    sourceMaps: "inline",
  });
  return { format: "module", source: code, shortCircuit: true };
}
