// the table of optional parts, read from the source without building it
import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { root } from "./workspace.mjs";

const source = readFileSync(join(root, "packages/core/src/optional.ts"), "utf8");
const text = source.slice(source.indexOf("export const optionalParts"), source.indexOf("\n];") + 3);

/** `optionalParts` of core. */
export const { optionalParts } = await import(`data:text/javascript,${encodeURIComponent(stripTypeScriptTypes(text))}`);
