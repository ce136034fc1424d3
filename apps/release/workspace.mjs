// where this repository lies, and what stands in its files
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));
/** A JSON file by its path in the repository. */
export const readJson = (path) => JSON.parse(readFileSync(join(root, path), "utf8"));
