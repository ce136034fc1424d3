// internal: AddedModel, modelHome, listAdded
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { z } from "zod";

/** The folder of the models that this user added: `models` in `$TESSERA_HOME`, or else in `.tessera` of the home folder. */
export const modelHome = (): string => join(process.env.TESSERA_HOME ?? join(homedir(), ".tessera"), "models");

const entry = z.object({
  name: z.string(),
  /** The folder or the GGUF file. */
  path: z.string(),
  /** Where it came from: a path, or "hub:owner/name@commit". */
  source: z.string(),
  /** What the model's card says of its licence. */
  licence: z.string().optional(),
  /** "model_type", or what stands for it. */
  architecture: z.string(),
  /** What our engines compute of it; undefined where they do not read it, and llama.cpp may. */
  kind: z.enum(["encoder", "decoder"]).optional(),
});

/** A model that was added under a name. */
export type AddedModel = z.infer<typeof entry>;

const isName = (name: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$/.test(name);

/**
 * A name under which a model may be added: letters, digits, dots, hyphens and underscores.
 * @throws TesseraError BAD_ARGUMENT
 */
export function assertName(name: string): void {
  if (!isName(name))
    throw new TesseraError("BAD_ARGUMENT", `${JSON.stringify(name)} is no name of a model`, {
      hint: "use letters, digits, dots, hyphens and underscores, as in --name my-model",
    });
}

const fileOf = (name: string): string => join(modelHome(), `${name}.json`);

/** Where the files of a fetched model lie. */
export const folderOf = (name: string): string => join(modelHome(), name);

/** All models that were added, by name. A damaged entry is passed over: its file can be removed or written again. */
export async function listAdded(): Promise<AddedModel[]> {
  const names = (await readdir(modelHome()).catch(() => [])).filter((file) => file.endsWith(".json")).sort();
  const found = await Promise.all(names.map((file) => findAdded(file.slice(0, -".json".length))));
  return found.filter((one) => one !== undefined);
}

/** The model that was added under a name. */
export async function findAdded(name: string): Promise<AddedModel | undefined> {
  if (!isName(name)) return undefined;
  try {
    return entry.parse(JSON.parse(await readFile(fileOf(name), "utf8")));
  } catch {
    return undefined;
  }
}

/** Writes an entry whole or not at all. */
export async function writeAdded(model: AddedModel): Promise<void> {
  await mkdir(modelHome(), { recursive: true });
  const scratch = `${fileOf(model.name)}.${process.pid}`;
  try {
    await writeFile(scratch, `${JSON.stringify(model, undefined, 2)}\n`);
    await rename(scratch, fileOf(model.name));
  } catch (cause) {
    await rm(scratch, { force: true });
    throw new TesseraError("STORE_FAILED", `the entry cannot be written: ${messageOf(cause)}`, {
      path: fileOf(model.name),
      cause,
    });
  }
}

/** Removes an entry, and what was fetched for it. */
export async function removeFiles(name: string): Promise<void> {
  await rm(fileOf(name), { force: true });
  await rm(folderOf(name), { recursive: true, force: true });
}
