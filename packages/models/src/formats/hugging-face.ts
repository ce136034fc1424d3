import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { open } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { z } from "zod";
import { configOf, readHashed } from "./bundle.js";
import type { Checkpoint, Weights } from "./checkpoint.js";
import { readJson } from "./json-file.js";
import { headerLength, readEntries, readSafetensors, type Tensor } from "./safetensors.js";
import type { StoredTensor } from "./stored-rows.js";
import { revisionOf, type StoredWeights } from "./stored-weights.js";
import { tokenizerDocument } from "./tokenizer-document.js";

/** A folder of the Hugging Face layout: config.json, and safetensors in one file or in shards with an index. */
export function huggingFaceCheckpoint(
  folder: string,
  { value, hash }: { readonly value: Readonly<Record<string, unknown>>; readonly hash: string },
): Checkpoint {
  const { model_type: type } = value;
  return {
    path: folder,
    name: basename(resolve(folder)),
    configPath: join(folder, "config.json"),
    config: value,
    type: typeof type === "string" ? type : undefined,
    weights: () => readWeights(folder, hash),
    stored: () => findWeights(folder, hash),
    tokenizer: () => tokenizerDocument(folder),
    json: async (file) => (existsSync(join(folder, file)) ? (await readJson(join(folder, file))).value : undefined),
  };
}

/** The revision is of the hashes of the config and of each file. */
async function readWeights(folder: string, configHash: string): Promise<Weights> {
  const tensors = new Map<string, Tensor>();
  const hashes = [configHash];
  for (const file of await filesOf(folder)) {
    const { bytes, hash } = await readHashed(join(folder, file), true);
    hashes.push(hash);
    for (const [name, tensor] of readSafetensors(bytes, join(folder, file))) tensors.set(name, tensor);
  }
  return { folder, tensors, revision: createHash("sha256").update(hashes.join()).digest("hex").slice(0, 16) };
}

const shards = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

/** One file, or the shards of an index. */
async function filesOf(folder: string): Promise<string[]> {
  const index = join(folder, "model.safetensors.index.json");
  if (!existsSync(index)) return ["model.safetensors"];
  const parsed = configOf(shards, (await readJson(index)).value, index);
  const files = [...new Set(Object.values(parsed.weight_map))].sort();
  const odd = files.find((file) => basename(file) !== file);
  if (odd !== undefined) throw new TesseraError("BAD_BUNDLE", `"${odd}" is outside the folder`, { path: index });
  return files;
}

/** As `readWeights`, from the headers alone. */
async function findWeights(folder: string, configHash: string): Promise<StoredWeights> {
  const tensors = new Map<string, StoredTensor>();
  const files: string[] = [];
  for (const file of await filesOf(folder)) {
    const path = join(folder, file);
    files.push(path);
    for (const [name, tensor] of await storedSafetensors(path)) tensors.set(name, tensor);
  }
  return { folder, tensors, revision: await revisionOf(files, tensors, configHash) };
}

/** The tensors of a safetensors file, by its header. */
async function storedSafetensors(path: string): Promise<Map<string, StoredTensor>> {
  const tensors = new Map<string, StoredTensor>();
  const bad = (message: string, cause?: unknown): TesseraError =>
    new TesseraError("BAD_BUNDLE", message, { path, cause });
  const file = await open(path, "r").catch((cause: unknown) => {
    throw bad(`the file cannot be read: ${messageOf(cause)}`, cause);
  });
  try {
    const { size } = await file.stat();
    const first = Buffer.alloc(8);
    if (size >= 8) await file.read(first, 0, 8, 0);
    const header = Buffer.alloc(headerLength(first, size, path));
    const { bytesRead } = await file.read(header, 0, header.length, 8);
    if (bytesRead !== header.length) throw bad("the file ends within its header: it is cut short");
    for (const [name, { dtype, shape, from }] of readEntries(header, size, path)) {
      if (dtype === "I8") throw new TesseraError("BAD_BUNDLE", "type I8 is not read", { path: `${path}#${name}` });
      tensors.set(name, { shape, stored: { path, name, offset: from, type: dtype } });
    }
  } finally {
    await file.close();
  }
  return tensors;
}
