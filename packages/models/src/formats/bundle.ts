import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { z } from "zod";
import type { Checkpoint } from "./checkpoint.js";
import { readJson } from "./json-file.js";
import { readSafetensors, type Tensor } from "./safetensors.js";
import { tokenizerDocument } from "./tokenizer-document.js";

/** A model's folder, read and verified; docs/models/bundle.md is the format. */
export interface Bundle {
  readonly folder: string;
  readonly name: string;
  readonly architecture: string;
  /** The first 16 hex digits of the SHA-256 of config.json, which holds the hashes of everything else. */
  readonly revision: string;
  /** config.json as it is; the architecture's own reader checks the rest of it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Every tensor of every shard, in memory that threads can share. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

const header = z.looseObject({
  format: z.literal("tessera-bundle"),
  formatVersion: z.literal(1),
  name: z.string().regex(/^[a-z0-9][a-z0-9.-]*$/),
  architecture: z.string().min(1),
  files: z.record(z.string(), z.string().regex(/^[0-9a-f]{64}$/)),
});

const shardIndex = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

/**
 * Reads a bundle: every file is hashed while it is read, and every tensor is checked against its file.
 * @throws TesseraError BAD_BUNDLE with the file, and the tensor where there is one.
 */
export async function readBundle(folder: string, signal?: AbortSignal): Promise<Bundle> {
  const path = join(folder, "config.json");
  const { value: config, hash } = await readJson(path);
  const parsed = configOf(header, config, path);
  const { name, architecture, files } = parsed;

  const weights: string[] = [];
  for (const file of Object.keys(files)) {
    if (file !== "config.json" && /^[\w-]+(?:\.[\w-]+)*$/.test(file)) {
      if (file.endsWith(".safetensors")) weights.push(file);
      continue;
    }
    throw new TesseraError("BAD_BUNDLE", `"${file}" cannot be a file of a bundle`, { path });
  }
  const tensors = new Map<string, Tensor>();
  const homes = new Map<string, string>();
  for (const [file, expected] of Object.entries(files)) {
    signal?.throwIfAborted();
    const place = join(folder, file);
    const isWeights = weights.includes(file);
    const { bytes, hash: found } = await readHashed(place, isWeights, signal);
    if (found !== expected)
      throw new TesseraError("BAD_BUNDLE", `${file} has SHA-256 ${found}, config.json says ${expected}`, {
        path: place,
        hint: "the file was altered or cut short; copy the bundle again, or export it again",
      });
    if (!isWeights) continue;
    for (const [tensor, value] of readSafetensors(bytes, place)) {
      if (tensors.has(tensor))
        throw new TesseraError("BAD_BUNDLE", `the tensor is also in ${homes.get(tensor)}`, {
          path: `${place}#${tensor}`,
        });
      tensors.set(tensor, value);
      homes.set(tensor, file);
    }
  }
  if (weights.length === 0) throw new TesseraError("BAD_BUNDLE", "config.json names no .safetensors file", { path });
  await checkShards(folder, weights, files, homes);
  return { folder, name, architecture, revision: hash.slice(0, 16), config: parsed, tensors };
}

/** One file without an index is model.safetensors; several agree with the index, tensor by tensor. */
async function checkShards(
  folder: string,
  weights: readonly string[],
  files: Readonly<Record<string, string>>,
  homes: ReadonlyMap<string, string>,
): Promise<void> {
  const indexFile = "model.safetensors.index.json";
  if (!Object.hasOwn(files, indexFile)) {
    if (weights.length === 1 && weights[0] === "model.safetensors") return;
    throw new TesseraError("BAD_BUNDLE", `shards (${weights.join(", ")}) need an index`, {
      path: join(folder, indexFile),
    });
  }
  const path = join(folder, indexFile);
  const parsed = configOf(shardIndex, (await readJson(path)).value, path);
  const map = new Map(Object.entries(parsed.weight_map));
  for (const name of new Set([...map.keys(), ...homes.keys()]))
    if (map.get(name) !== homes.get(name))
      throw new TesseraError(
        "BAD_BUNDLE",
        `the index puts the tensor in ${map.get(name) ?? "no file"}, it lies in ${homes.get(name) ?? "none"}`,
        { path: `${path}#${name}` },
      );
}

/** A config, or another JSON file of a model, as a schema reads it. @throws TesseraError BAD_BUNDLE with the file and the field */
export function configOf<Schema extends z.ZodType>(schema: Schema, value: unknown, path: string): z.infer<Schema> {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  throw new TesseraError("BAD_BUNDLE", z.prettifyError(error), { path, cause: error });
}

/** Reads in pieces, so that hashing never holds the event loop; keeps the bytes where they are needed. */
export async function readHashed(
  path: string,
  keep: boolean,
  signal?: AbortSignal,
): Promise<{ bytes: Uint8Array; hash: string }> {
  try {
    const { size } = await stat(path);
    const bytes = new Uint8Array(new SharedArrayBuffer(keep ? size : 0));
    const hash = createHash("sha256");
    let at = 0;
    for await (const piece of createReadStream(path, { highWaterMark: 262_144, signal })) {
      hash.update(piece as Buffer);
      if (keep) bytes.set(piece as Buffer, at);
      at += (piece as Buffer).length;
    }
    return { bytes, hash: hash.digest("hex") };
  } catch (cause) {
    signal?.throwIfAborted();
    throw new TesseraError("BAD_BUNDLE", `the file cannot be read: ${messageOf(cause)}`, { path, cause });
  }
}

/** A bundle as an architecture reads it; its files are hashed when the weights are asked for. */
export function bundleCheckpoint(folder: string, config: Readonly<Record<string, unknown>>): Checkpoint {
  const { name, architecture } = config;
  return {
    path: folder,
    name: typeof name === "string" ? name : basename(resolve(folder)),
    configPath: join(folder, "config.json"),
    config,
    type: typeof architecture === "string" ? architecture : undefined,
    weights: () => readBundle(folder),
    tokenizer: () => tokenizerDocument(folder),
    json: async (file) => (existsSync(join(folder, file)) ? (await readJson(join(folder, file))).value : undefined),
  };
}
