// lets Node run the TypeScript sources as they are, in worker threads and child processes too (they inherit the flags):
//   node --conditions=@tessera/source --import=…/apps/setup/sources.mjs main.ts
// What was compiled once is kept in .tessera/sources by the hash of its text.
import { createHash, randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire, registerHooks } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const kept = fileURLToPath(new URL("../../.tessera/sources/", import.meta.url));
const options = {
  // Nest's decorators are those of TypeScript before the standard's
  jsc: {
    parser: { syntax: "typescript", decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true },
    target: "es2023",
  },
  module: { type: "es6" },
  sourceMaps: "inline",
};
const recipe = JSON.stringify([options, require("@swc/core/package.json").version]);

/** The JavaScript of a source file. */
function compiled(path) {
  const text = readFileSync(path, "utf8");
  const file = join(kept, `${createHash("sha1").update(recipe).update(path).update(text).digest("hex")}.js`);
  try {
    return readFileSync(file, "utf8");
  } catch {
    const { code } = require("@swc/core").transformSync(text, { filename: path, ...options });
    try {
      mkdirSync(kept, { recursive: true });
      const draft = `${file}.${randomUUID()}`;
      writeFileSync(draft, code);
      renameSync(draft, file);
    } catch {
      // a folder that cannot be written to costs time only
    }
    return code;
  }
}

registerHooks({
  /** "./worker.js" beside a "./worker.ts" means the source. */
  resolve(specifier, context, next) {
    if (/^(?:\.|\/|file:).*\.js$/.test(specifier) && !specifier.includes("/node_modules/")) {
      const url = new URL(specifier.replace(/\.js$/, ".ts"), context.parentURL ?? "file:///");
      if (url.protocol === "file:" && existsSync(fileURLToPath(url)))
        return { url: url.href, format: "module", shortCircuit: true };
    }
    return next(specifier, context);
  },
  load(url, context, next) {
    if (!url.startsWith("file:") || !url.endsWith(".ts") || url.includes("/node_modules/")) return next(url, context);
    return { format: "module", source: compiled(fileURLToPath(url)), shortCircuit: true };
  },
});
