import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { messageOf, TesseraError } from "@tessera/core";
import type { EncoderModel, Kind, Matrix } from "../architectures/encoder.js";
import { openCodeEncoder } from "../encoders/code-encoder.js";
import { cpuEngine } from "../engines/cpu.js";
import { type Engine, ragged } from "../engines/engine.js";
import { gpuOnDemand } from "../engines/gpu/choose.js";
import { referenceEngine } from "../engines/reference/engine.js";
import { readJson } from "../formats/bundle.js";
import { readGolden } from "../formats/encoder-bundle.js";
import { isMolmConfig } from "../formats/molm.js";
import { openEncoderModel } from "../formats/open-model.js";

/** The encoder that is meant where none is named. */
export const defaultEncoder = "code-encoder";

/** Folders that hold bundles: those of the variable TESSERA_MODELS, then the one that ships with this package. */
export function bundleFolders(): string[] {
  const named = (process.env.TESSERA_MODELS ?? "").split(delimiter).filter((folder) => folder !== "");
  return [...named, fileURLToPath(new URL("../../bundles", import.meta.url))];
}

export interface ListedModel {
  readonly name: string;
  readonly folder: string;
  readonly architecture: string;
  /** Bytes of all files. */
  readonly size: number;
}

/** Every bundle that can be named, by name; of two of the same name the first counts. A folder that is no bundle is passed over. */
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

/** Bytes of all files of a folder. */
export async function sizeOf(folder: string): Promise<number> {
  const sizes = (await readdir(folder)).map(async (file) => (await stat(join(folder, file))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/**
 * The folder of a model by its name; a path to a folder is taken as it is.
 * @throws TesseraError UNKNOWN_RESOURCE
 */
export async function findModel(name: string = defaultEncoder, folders?: readonly string[]): Promise<string> {
  if (name !== basename(name)) return name;
  const models = await listModels(folders);
  const found = models.find((model) => model.name === name);
  if (found) return found.folder;
  throw new TesseraError("UNKNOWN_RESOURCE", `there is no model "${name}"`, {
    path: `model/${name}`,
    hint:
      models.length > 0
        ? `models: ${models.map((model) => model.name).join(", ")}`
        : "name a bundle's folder by its path, or the folder of bundles in TESSERA_MODELS",
  });
}

/**
 * Whether a model encodes or generates, by its config.json.
 * @throws TesseraError UNKNOWN_RESOURCE, BAD_BUNDLE
 */
export async function kindOfModel(name?: string, folders?: readonly string[]): Promise<"encoder" | "decoder"> {
  const { value } = await readJson(join(await findModel(name, folders), "config.json"));
  const { architecture } = (value ?? {}) as { architecture?: unknown };
  return architecture === "tessera-moe" || architecture === "tessera-dense" || isMolmConfig(value)
    ? "decoder"
    : "encoder";
}

/** What an inspection tells of any model. */
export interface ModelInspection {
  readonly name: string;
  readonly folder: string;
  readonly revision: string;
  readonly architecture: string;
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly vocabulary: number;
  /** Bytes of all files. */
  readonly size: number;
}

export interface Inspection extends ModelInspection {
  readonly parameters: number;
  /** Parameters that run until an exit, the embedding table included. */
  readonly exits: readonly { readonly layer: number; readonly parameters: number }[];
  readonly widths: readonly number[];
  readonly maxTokens: Readonly<Record<Kind, number>>;
  readonly pairs: EncoderModel["pairs"];
  readonly default: EncoderModel["default"];
}

/** What a model is made of. @throws TesseraError UNKNOWN_RESOURCE, BAD_BUNDLE */
export async function inspectModel(name?: string, folders?: readonly string[]): Promise<Inspection> {
  const folder = await findModel(name, folders);
  const model = await openEncoderModel(folder);
  const until = (layer: number): number =>
    parametersOf({
      embedding: model.embedding,
      blocks: model.blocks.slice(0, layer),
      exits: model.exits.filter((exit) => exit.layer <= layer),
    });
  return {
    name: model.name,
    folder,
    revision: model.revision,
    architecture: model.architecture,
    layers: model.blocks.length,
    hidden: model.hidden,
    heads: model.heads,
    vocabulary: model.embedding.rows,
    parameters: until(model.blocks.length),
    size: await sizeOf(folder),
    exits: model.exits.map(({ layer }) => ({ layer, parameters: until(layer) })),
    widths: model.widths,
    maxTokens: {
      query: model.frames.query.maxTokens,
      code: model.frames.code.maxTokens,
      text: model.frames.text.maxTokens,
    },
    pairs: model.pairs,
    default: model.default,
  };
}

/** Weights in a tree of matrices and norms; scales are no parameters of their own. */
export function parametersOf(tree: unknown): number {
  if (ArrayBuffer.isView(tree)) return (tree as Float32Array).length;
  if (typeof tree !== "object" || tree === null) return 0;
  return Object.entries(tree).reduce(
    (sum, [key, value]) => sum + (key === ("scale" satisfies keyof Matrix) ? 0 : parametersOf(value)),
    0,
  );
}

export interface EngineVerdict {
  readonly engine: Engine["info"];
  readonly passed: boolean;
  /** Over all golden cases, by exit: the largest difference of a component, and the least cosine. */
  readonly exits: readonly { readonly layer: number; readonly difference: number; readonly cosine: number }[];
  /** Why the engine could not run. */
  readonly missing?: string;
}

/**
 * Compares engines with a bundle's golden vectors: the reference must agree to 1e-5 in every component, others reach a
 * cosine of 0.995. An engine that cannot run on this machine is reported as missing, which is no failure.
 * @throws TesseraError UNKNOWN_RESOURCE, BAD_BUNDLE
 */
export async function verifyModel(
  name?: string,
  engines: readonly Engine[] = [referenceEngine(), cpuEngine(), cpuEngine({ precision: "fp32" }), gpuOnDemand()],
  folders?: readonly string[],
): Promise<EngineVerdict[]> {
  const folder = await findModel(name, folders);
  const model = await openEncoderModel(folder);
  const golden = await readGolden(folder, model);
  const verdicts: EngineVerdict[] = [];
  for (const engine of engines) {
    const session = await engine.loadEncoder(model).catch((error: unknown) => {
      if (TesseraError.is(error) && error.code === "DEPENDENCY_MISSING") return error;
      throw error;
    });
    if (TesseraError.is(session)) {
      verdicts.push({ engine: engine.info, passed: true, exits: [], missing: session.message });
      continue;
    }
    try {
      const exits = [];
      for (const layer of session.exits) {
        const vectors = await session.encode(ragged(golden.map(({ ids }) => ids)), layer);
        exits.push({
          layer,
          ...compare(
            vectors,
            golden.flatMap(({ vectors }) => vectors[layer]!),
            model.hidden,
          ),
        });
      }
      const passes = ({ difference, cosine }: { difference: number; cosine: number }): boolean =>
        engine.info.kind === "reference" ? difference <= 1e-5 : cosine >= 0.995;
      verdicts.push({ engine: engine.info, passed: exits.every(passes), exits });
    } finally {
      await session.close();
    }
  }
  return verdicts;
}

function compare(
  found: Float32Array,
  expected: readonly number[],
  width: number,
): { difference: number; cosine: number } {
  let [difference, cosine] = [0, 1];
  for (let at = 0; at < found.length; at += width) {
    let dot = 0;
    for (let i = at; i < at + width; i++) {
      difference = Math.max(difference, Math.abs(found[i]! - expected[i]!));
      dot += found[i]! * expected[i]!;
    }
    cosine = Math.min(cosine, dot);
  }
  // a value that is not a number passes no comparison
  return { difference: Number.isNaN(cosine) ? Number.POSITIVE_INFINITY : difference, cosine };
}

export interface EncodeFile {
  readonly model?: string | undefined;
  readonly exit?: number | undefined;
  readonly width?: number | undefined;
  readonly kind: Kind;
  /** One `{"text": …}` a line, UTF-8; bytes that are none count as U+FFFD. Empty lines are passed over. */
  readonly input: string;
  /** Row-major little-endian fp32, one row a line; written beside its place and then moved there. */
  readonly output: string;
  readonly engine?: Engine | undefined;
  readonly folders?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Encodes a file of texts into a file of vectors.
 * @returns the number of vectors and their width
 * @throws TesseraError BAD_INPUT with file and line; BAD_SOURCE where the input cannot be read; else as `encode`
 */
export async function encodeFile(request: EncodeFile): Promise<{ texts: number; width: number; space: string }> {
  const { input, output, kind, exit, width, signal } = request;
  const encoder = await openCodeEncoder(await findModel(request.model, request.folders), request.engine);
  const partial = `${output}.${randomUUID()}`;
  try {
    const embedding = { exit: exit ?? encoder.model.default[kind === "query" ? "query" : "index"], width };
    const space = encoder.space(embedding);
    const file = await open(partial, "w");
    let texts = 0;
    try {
      for await (const batch of batchesOf(input)) {
        const vectors = await encoder.encode(batch, { ...embedding, kind }, signal);
        await file.write(Buffer.concat(vectors.map((vector) => littleEndian(vector))));
        texts += batch.length;
      }
    } finally {
      await file.close();
    }
    await rename(partial, output);
    return { texts, width: width ?? encoder.model.hidden, space };
  } finally {
    await rm(partial, { force: true });
    await encoder.close();
  }
}

async function* batchesOf(path: string): AsyncIterable<string[]> {
  let batch: string[] = [];
  let number = 0;
  const stream = createReadStream(path, "utf8");
  const failure = new Promise<never>((_, reject) =>
    stream.on("error", (cause) =>
      reject(new TesseraError("BAD_SOURCE", `the file cannot be read: ${messageOf(cause)}`, { path, cause })),
    ),
  );
  failure.catch(() => {});
  const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
  for (;;) {
    const { value: line, done } = await Promise.race([lines.next(), failure]);
    if (done) break;
    number += 1;
    if (line.trim() === "") continue;
    batch.push(textOf(line, `${path}:${number}`));
    if (batch.length < 1024) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

function textOf(line: string, path: string): string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new TesseraError("BAD_INPUT", `the line is not JSON: ${messageOf(cause)}`, { path, cause });
  }
  const text = (value as { text?: unknown } | null)?.text;
  if (typeof text === "string") return text;
  throw new TesseraError("BAD_INPUT", "the line has no text", { path, hint: 'each line is {"text": "…"}' });
}

function littleEndian(vector: Float32Array): Buffer {
  const bytes = Buffer.alloc(4 * vector.length);
  for (const [i, value] of vector.entries()) bytes.writeFloatLE(value, 4 * i);
  return bytes;
}
