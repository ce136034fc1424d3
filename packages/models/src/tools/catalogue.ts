// public: listModels, findModel
// internal: defaultEncoder, kindOfModel
import { existsSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, delimiter, dirname, join } from "node:path";
import { TesseraError } from "@tessera/core";
import { missing } from "@tessera/core/internal";
import type { ModelKind } from "../architectures/architecture.js";
import { isGguf } from "../formats/gguf.js";
import { readJson } from "../formats/json-file.js";
import { kindOfCheckpoint } from "../formats/open-model.js";
import { findAdded, listAdded } from "../installed/home.js";

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

/** A model that can be named here: a bundle, or one that was added. */
interface ListedModel {
  readonly name: string;
  /** The folder, or the GGUF file. */
  readonly folder: string;
  readonly architecture: string;
  /** Bytes of all files; 0 where they are gone. */
  readonly size: number;
  /** Where an added model came from, and what its card says of its licence. */
  readonly source?: string;
  readonly licence?: string;
}

/** Lists every bundle in the folders, and every model that was added, by name. If two have the same name, the first counts. */
export async function listModels(folders: readonly string[] = bundleFolders()): Promise<ListedModel[]> {
  const bundles = await listBundles(folders);
  const added = await Promise.all(
    (await listAdded())
      .filter(({ name }) => !bundles.some((bundle) => bundle.name === name))
      .map(async ({ name, path, architecture, source, licence }): Promise<ListedModel> => {
        const size = await sizeOf(path).catch(() => 0);
        return { name, folder: path, architecture, size, source, ...(licence !== undefined && { licence }) };
      }),
  );
  return [...bundles, ...added].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Lists every bundle in the folders, by name. If two have the same name, the first counts. Folders without a bundle are
 * ignored.
 */
export async function listBundles(folders: readonly string[]): Promise<ListedModel[]> {
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
  const files = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = files
    .filter((file) => file.isFile())
    .map(async (file) => (await stat(join(file.parentPath, file.name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/**
 * The folder or file of a model with this name; of a folder here that has the name, where no model has it. A path is
 * returned as it is.
 * @throws TesseraError UNKNOWN_RESOURCE; DEPENDENCY_MISSING where it is a model of @tessera/weights, which is not installed
 */
export async function findModel(name: string = defaultEncoder, folders?: readonly string[]): Promise<string> {
  if (name !== basename(name) || isGguf(name)) return name;
  const bundles = await listBundles(folders ?? bundleFolders());
  const found = bundles.find((model) => model.name === name);
  if (found) return found.folder;
  const added = await findAdded(name);
  if (added) return added.path;
  if (existsSync(join(name, "config.json"))) return name;
  if (shipped.has(name) && folders === undefined) weightsFolder(); // says how they are installed
  const models = [...bundles, ...(await listAdded())];
  throw new TesseraError("UNKNOWN_RESOURCE", `there is no model "${name}"`, {
    path: `model/${name}`,
    hint:
      models.length > 0
        ? `models: ${models.map((model) => model.name).join(", ")}`
        : "name a folder or a GGUF file by its path, or add one: tessera models add",
  });
}

/**
 * What a model computes, by its config.json.
 * @throws TesseraError UNKNOWN_RESOURCE, BAD_BUNDLE
 */
export async function kindOfModel(name?: string, folders?: readonly string[]): Promise<ModelKind> {
  return kindOfCheckpoint(await findModel(name, folders));
}
