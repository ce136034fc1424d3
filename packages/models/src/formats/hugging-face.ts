import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { TesseraError } from "@tessera/core";
import { z } from "zod";
import { badConfig, readHashed, readJson } from "./bundle.js";
import type { Checkpoint, Weights } from "./checkpoint.js";
import { readSafetensors, type Tensor } from "./safetensors.js";

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
    json: async (file) => (existsSync(join(folder, file)) ? (await readJson(join(folder, file))).value : undefined),
  };
}

/** The revision is of the hashes of the config and of each file. */
async function readWeights(folder: string, configHash: string): Promise<Weights> {
  const index = join(folder, "model.safetensors.index.json");
  let files = ["model.safetensors"];
  if (existsSync(index)) {
    const parsed = z
      .looseObject({ weight_map: z.record(z.string(), z.string()) })
      .safeParse((await readJson(index)).value);
    if (!parsed.success) throw badConfig(index, parsed.error);
    files = [...new Set(Object.values(parsed.data.weight_map))].sort();
    const odd = files.find((file) => basename(file) !== file);
    if (odd !== undefined) throw new TesseraError("BAD_BUNDLE", `"${odd}" is outside the folder`, { path: index });
  }
  const tensors = new Map<string, Tensor>();
  const hashes = [configHash];
  for (const file of files) {
    const { bytes, hash } = await readHashed(join(folder, file), true);
    hashes.push(hash);
    for (const [name, tensor] of readSafetensors(bytes, join(folder, file))) tensors.set(name, tensor);
  }
  return { folder, tensors, revision: createHash("sha256").update(hashes.join()).digest("hex").slice(0, 16) };
}
