// internal
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { TesseraError } from "@tessera/core";
import { z } from "zod";
import { badConfig, readHashed, readJson } from "./bundle.js";
import { readSafetensors, type Tensor } from "./safetensors.js";

/**
 * The tensors of a checkpoint in the Hugging Face layout, one file or shards with an index, and the revision: of the
 * hashes of its config and of each file.
 * @throws TesseraError BAD_BUNDLE
 */
export async function readCheckpoint(
  folder: string,
  configHash: string,
): Promise<{ folder: string; tensors: Map<string, Tensor>; revision: string }> {
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
