import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { PreTrainedModel } from "@huggingface/transformers";
import { TesseraError } from "@tessera/core";
import { messageOf, missing } from "@tessera/core/internal";
import { readHashed } from "../formats/bundle.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { openCheckpoint } from "../formats/open-model.js";
import { parseTokenizer, type Tokenizer } from "../tokenizer/tokenizer.js";
import type { TransformersFolder } from "./settings.js";

/** The release that the adapters were tested with. */
const transformersRelease = "4.3.2";

type Library = typeof import("@huggingface/transformers");

/** A model of transformers.js with our tokenizer. */
interface OpenedTransformers {
  readonly name: string;
  /** Changes with the config, the tokenizer, the weights and the release. */
  readonly revision: string;
  readonly checkpoint: Checkpoint;
  /** Ours: that of the library differs from the Rust one's on rare scripts, and cuts a long text's last mark off. */
  readonly tokenizer: Tokenizer;
  /** The longest input in tokens, by the config. */
  readonly positions: number;
  /** Outputs by their names, of inputs that have ids of equal length; those that the model does not want are left out. */
  run(rows: readonly Row[]): Promise<Readonly<Record<string, Output | undefined>>>;
  close(): Promise<void>;
}

/** One sequence: its ids, and the numbers of its segments, zeros by default. */
export interface Row {
  readonly ids: readonly number[];
  readonly types?: readonly number[] | undefined;
}
export interface Output {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

const suffixes = { fp32: "", fp16: "_fp16", q8: "_quantized", q4: "_q4" } as const;

/**
 * Opens a folder with transformers.js. Nothing is fetched: what is not in the folder is an error.
 * @throws TesseraError BAD_BUNDLE; BAD_ARGUMENT; DEPENDENCY_MISSING without @huggingface/transformers
 */
export async function openTransformers(
  { folder, dtype: named, threads }: TransformersFolder,
  load: (library: Library) => Pick<Library["AutoModel"], "from_pretrained">,
): Promise<OpenedTransformers> {
  const path = resolve(folder);
  if (threads !== undefined && !(Number.isSafeInteger(threads) && threads > 0))
    throw new TesseraError("BAD_ARGUMENT", `threads is ${threads}`, { path, hint: "use a whole number of 1 or more" });
  const fileOf = (dtype: keyof typeof suffixes): string => join(path, "onnx", `model${suffixes[dtype]}.onnx`);
  const dtype = named ?? (["fp32", "q8"] as const).find((one) => existsSync(fileOf(one)));
  if (dtype === undefined || !existsSync(fileOf(dtype)))
    throw new TesseraError("BAD_BUNDLE", "the folder has no weights for ONNX Runtime", {
      path: fileOf(dtype ?? "fp32"),
      hint: "transformers.js computes ONNX files; our own engine reads safetensors",
    });
  const checkpoint = await openCheckpoint(path);
  const { max_position_embeddings: positions } = checkpoint.config;
  if (typeof positions !== "number")
    throw new TesseraError("BAD_BUNDLE", "the config has no max_position_embeddings", { path: checkpoint.configPath });
  const { document, path: tokenizerFile } = await checkpoint.tokenizer();
  const tokenizer = parseTokenizer(document, tokenizerFile);
  const library = await import("@huggingface/transformers").catch(missing("@huggingface/transformers"));
  let model: PreTrainedModel;
  try {
    // the library looks for models by name in one folder
    library.env.localModelPath = dirname(path);
    library.env.allowRemoteModels = false;
    model = await load(library).from_pretrained(basename(path), {
      local_files_only: true,
      dtype,
      session_options: { ...(threads !== undefined && { intraOpNumThreads: threads }), logSeverityLevel: 3 },
    });
  } catch (cause) {
    throw new TesseraError("BAD_BUNDLE", `transformers.js cannot open the folder: ${messageOf(cause)}`, {
      path,
      cause,
    });
  }
  const wanted = new Set(Object.values(model.sessions).flatMap(({ inputNames }) => inputNames as string[]));
  return {
    name: basename(path),
    revision: await revisionOf(path, fileOf(dtype)),
    checkpoint,
    tokenizer,
    positions,
    run: (rows) =>
      model(Object.fromEntries(Object.entries(inputs(library, rows)).filter(([name]) => wanted.has(name)))),
    close: async () => {
      await model.dispose();
    },
  };
}

/** Rows of unequal length, padded by zeros that the mask leaves out. */
function inputs({ Tensor }: Library, rows: readonly Row[]): Record<string, InstanceType<Library["Tensor"]>> {
  const length = Math.max(...rows.map(({ ids }) => ids.length));
  const tensor = (of: (row: Row, place: number) => number) => {
    const values = new BigInt64Array(rows.length * length);
    for (const [at, row] of rows.entries())
      for (let place = 0; place < row.ids.length; place++) values[at * length + place] = BigInt(of(row, place));
    return new Tensor("int64", values, [rows.length, length]);
  };
  return {
    input_ids: tensor(({ ids }, place) => ids[place]!),
    attention_mask: tensor(() => 1),
    token_type_ids: tensor(({ types }, place) => types?.[place] ?? 0),
  };
}

async function revisionOf(folder: string, weights: string): Promise<string> {
  const files = [join(folder, "config.json"), join(folder, "tokenizer.json"), weights];
  const hashes = await Promise.all(files.map(async (file) => (await readHashed(file, false)).hash));
  const hash = createHash("sha256").update(hashes.join()).digest("hex").slice(0, 16);
  return `${hash}-transformers.js-${transformersRelease}`;
}
