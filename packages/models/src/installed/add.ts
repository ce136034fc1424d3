// internal: addModel, removeModel
import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { TesseraError } from "@tessera/core";
import type { ModelKind } from "../architectures/architecture.js";
import { isGguf, readGguf } from "../formats/gguf.js";
import { kindOfCheckpoint, openCheckpoint } from "../formats/open-model.js";
import { bundleFolders, listBundles, sizeOf } from "../tools/catalogue.js";
import { type AddedModel, assertName, findAdded, folderOf, modelHome, removeFiles, writeAdded } from "./home.js";
import { fetchFromHub, type HubSource } from "./hub.js";

/** A model that is added now. */
interface AddedReport extends AddedModel {
  /** Bytes of its files. */
  readonly size: number;
  /** Why our engines do not read it; llama.cpp may. */
  readonly unread?: string | undefined;
}

/** How a model is added. */
interface AddSettings extends Omit<HubSource, "repository"> {
  /** Under which name; by default that of the folder, the file or the repository. */
  readonly name?: string | undefined;
}

/**
 * Gives a model a name by which it may be called wherever a model is named. `source` is a folder, a GGUF file, or
 * "hub:owner/name", which is fetched into the home of the models; the other two stay where they are.
 * @throws TesseraError BAD_ARGUMENT, CONFLICT for a name that is taken, BAD_BUNDLE, UNKNOWN_RESOURCE, FORBIDDEN, MODEL_FAILED
 */
export async function addModel(source: string, settings: AddSettings = {}): Promise<AddedReport> {
  const repository = /^hub:(.*)$/s.exec(source)?.[1];
  const name = settings.name ?? nameOf(settings.file ?? repository ?? resolve(source));
  assertName(name);
  await assertFree(name, repository === undefined ? resolve(source) : `hub:${repository}`);
  if (repository === undefined) return addHere(name, resolve(source));
  const { path, commit, licence } = await fetchFromHub({ ...settings, repository }, folderOf(name));
  return enter({ name, path, source: `hub:${repository}@${commit}`, ...(licence !== undefined && { licence }) });
}

const nameOf = (place: string): string => basename(place).replace(/\.gguf$/i, "");

/** @throws TesseraError CONFLICT */
async function assertFree(name: string, source: string): Promise<void> {
  const taken = (message: string): TesseraError =>
    new TesseraError("CONFLICT", message, { path: name, hint: "choose another name by --name" });
  if ((await listBundles(bundleFolders())).some((bundle) => bundle.name === name))
    throw taken(`a model that comes with Tessera is named "${name}"`);
  const before = await findAdded(name);
  if (before && before.source.replace(/@[0-9a-f]+$/, "") !== source)
    throw taken(`"${name}" was added from ${before.source}`);
}

/** @throws TesseraError BAD_SOURCE, BAD_BUNDLE */
async function addHere(name: string, path: string): Promise<AddedReport> {
  if (!(await stat(path).catch(() => undefined)))
    throw new TesseraError("BAD_SOURCE", "there is no such folder or file", { path });
  return enter({ name, path, source: path });
}

/** @throws TesseraError BAD_BUNDLE for files that no library can read */
async function enter(model: Pick<AddedModel, "name" | "path" | "source" | "licence">): Promise<AddedReport> {
  const { path } = model;
  const { type, kind, unread } = await recognised(path);
  const added: AddedModel = { ...model, architecture: type, ...(kind && { kind }) };
  await writeAdded(added);
  return { ...added, size: await sizeOf(path), ...(unread !== undefined && { unread }) };
}

/** What a model is, by its config alone; a GGUF file that our engines do not read may still be read by llama.cpp. */
async function recognised(path: string): Promise<{ type: string; kind?: ModelKind; unread?: string }> {
  if (!isGguf(path)) {
    const { type = "static-table" } = await openCheckpoint(path);
    return { type, kind: await kindOfCheckpoint(path) };
  }
  const { metadata } = await readGguf(path, "any");
  const type = String(metadata.get("general.architecture") ?? "unknown");
  try {
    return { type, kind: await kindOfCheckpoint(path) };
  } catch (error) {
    if (!TesseraError.is(error)) throw error;
    return { type, unread: error.message };
  }
}

/**
 * Forgets a model that was added; files that were fetched for it are deleted, others stay.
 * @returns what it was
 * @throws TesseraError UNKNOWN_RESOURCE; FORBIDDEN for a model that comes with Tessera
 */
export async function removeModel(name: string): Promise<AddedModel> {
  const found = await findAdded(name);
  if (found) {
    await removeFiles(name);
    return found;
  }
  if ((await listBundles(bundleFolders())).some((bundle) => bundle.name === name))
    throw new TesseraError("FORBIDDEN", `"${name}" comes with Tessera or lies in $TESSERA_MODELS`, { path: name });
  throw new TesseraError("UNKNOWN_RESOURCE", `no model was added as "${name}"`, {
    path: join(modelHome(), `${name}.json`),
    hint: "`tessera models list` lists them",
  });
}
