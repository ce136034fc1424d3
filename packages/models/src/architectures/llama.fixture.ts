import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** Where the tiny checkpoints lie that apps/train/tiny_decoders.py made with transformers. */
export const decoderFolder = (family: string): string =>
  fileURLToPath(new URL(`../fixtures/decoders/${family}`, import.meta.url));

export interface GoldenLogits {
  readonly ids: readonly number[];
  /** A row a token. */
  readonly logits: readonly Float32Array[];
  /** By layer with a router, by token: the chosen experts, best first. */
  readonly routes?: readonly (readonly (readonly number[])[])[] | undefined;
}

/** What transformers computed of a family's checkpoint. */
export async function goldenLogits(family: string): Promise<GoldenLogits> {
  const { ids, logits, routes } = JSON.parse(await readFile(`${decoderFolder(family)}/golden.json`, "utf8"));
  const all = new Float32Array(new Uint8Array(Buffer.from(logits, "base64")).buffer);
  const width = all.length / ids.length;
  return { ids, routes, logits: ids.map((_: number, t: number) => all.subarray(t * width, (t + 1) * width)) };
}

/** The dense families, then the mixtures. */
export const denseFamilies = ["llama", "llama-scaled", "llama-yarn", "mistral", "qwen2", "qwen3", "granite"] as const;
export const mixtureFamilies = ["granitemoe", "olmoe", "qwen2moe", "qwen3moe", "mixtral", "jetmoe"] as const;
