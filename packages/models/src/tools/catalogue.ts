// public: ListedModel, listModels, findModel
// internal: kindOfModel
import { existsSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, delimiter, dirname, join } from "node:path";
import { TesseraError } from "@tessera/core";
import { missing } from "@tessera/core/internal";
import type { ModelKind } from "../architectures/registry.js";
import { isGguf } from "../formats/gguf.js";
import { readJson } from "../formats/json-file.js";
import { kindOfCheckpoint } from "../formats/open-model.js";

/** The encoder that is meant where none is named. */
export const defaultEncoder = "code-encoder-2";

/** The folder of the package @tessera/weights. @throws TesseraError DEPENDENCY_MISSING */
export function weightsFolder(): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve("@tessera/weights/package.json")), "bundles");
  } catch (cause) {
    return missing("@tessera/weights")(cause);
  }
}

/** The models of the package @tessera/weights. */
const shipped: ReadonlySet<string> = new Set([defaultEncoder, "code-language-model", "list-coder"]);

/** Folders that hold bundles: those of the variable TESSERA_MODELS, then that of the package @tessera/weights. */
export function bundleFolders(): string[] {
  const named = (process.env.TESSERA_MODELS ?? "").split(delimiter).filter((folder) => folder !== "");
  try {
    return [...named, weightsFolder()];
  } catch {
    return named;
  }
}

/** A bundle that is installed here: its name, folder, architecture and size in bytes. */
export interface ListedModel {
  readonly name: string;
  readonly folder: string;
  readonly architecture: string;
  /** Bytes of all files. */
  readonly size: number;
}

/**
 * Lists every bundle in the folders, by name. If two have the same name, the first counts. Folders without a bundle are
 * ignored.
 */
export async function listModels(folders: readonly string[] = bundleFolders()): Promise<ListedModel[]> {
  const models = new Map<string, ListedModel>();
  for (const parent of folders)
    for (const name of await readdir(parent).catch(() => [])) {
      const folder = join(parent, name);
      const config = await readJson(join(folder, "config.json")).catch(() => undefined);
      const { format, architecture } = (config?.value ?? {}) as { format?: unknown; architecture?: unknown };
      if (format !== "tessera-bundle" || models.has(name)) continue;
      models.set(name, { name, folder, architecture: String(architecture), size: await sizeOf(folder) });
    }
  return [...models.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Bytes of a file, or of all files of a folder. */
export async function sizeOf(folder: string): Promise<number> {
  const { size, isDirectory } = await stat(folder).then((found) => ({
    size: found.size,
    isDirectory: found.isDirectory(),
  }));
  if (!isDirectory) return size;
  const sizes = (await readdir(folder)).map(async (file) => (await stat(join(folder, file))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/**
 * The folder or file of a model with this name; of a folder here that has the name, where no model has it. A path is
 * returned as it is.
 * @throws TesseraError UNKNOWN_RESOURCE; DEPENDENCY_MISSING where it is a model of @tessera/weights, which is not installed
 */
export async function findModel(name: string = defaultEncoder, folders?: readonly string[]): Promise<string> {
  if (name !== basename(name) || isGguf(name)) return name;
  const models = await listModels(folders);
  const found = models.find((model) => model.name === name);
  if (found) return found.folder;
  if (existsSync(join(name, "config.json"))) return name;
  if (shipped.has(name) && folders === undefined) weightsFolder(); // says how they are installed
  throw new TesseraError("UNKNOWN_RESOURCE", `there is no model "${name}"`, {
    path: `model/${name}`,
    hint:
      models.length > 0
        ? `models: ${models.map((model) => model.name).join(", ")}`
        : "name a bundle's folder by its path, or the folder of bundles in TESSERA_MODELS",
  });
}

/**
 * What a model computes, by its config.json.
 * @throws TesseraError UNKNOWN_RESOURCE, BAD_BUNDLE
 */
export async function kindOfModel(name?: string, folders?: readonly string[]): Promise<ModelKind> {
  return kindOfCheckpoint(await findModel(name, folders));
}
