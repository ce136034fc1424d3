// internal: DecoderInspection, inspectModel
import { TesseraError } from "@tessera/core";
import type { ModelKind } from "../architectures/architecture.js";
import type { DecoderModel, Frequencies, SoftmaxAttention, StoredMatrix } from "../architectures/decoder.js";
import type { EncoderModel, Kind, Matrix } from "../architectures/encoder.js";
import { cpuEngine } from "../engines/cpu.js";
import type { Engine } from "../engines/engine.js";
import { openDecoderModel, openEncoderModel } from "../formats/open-model.js";
import { readTokenizer, tokenizerPath } from "../tokenizer/tokenizer.js";
import { findModel, kindOfModel, sizeOf } from "./catalogue.js";
import { type Counting, moduleFrequencies, readSamples } from "./module-frequencies.js";

/** What every model is made of. */
interface Inspection {
  readonly kind: ModelKind;
  readonly name: string;
  readonly folder: string;
  readonly revision: string;
  readonly architecture: string;
  readonly layers: number;
  /** Components of a token's vector between layers. */
  readonly hidden: number;
  readonly heads: number;
  readonly vocabulary: number;
  /** Weights: `total` and `active`, the ones that run for a token, are counted without the embedding table. */
  readonly parameters: { readonly total: number; readonly active: number; readonly embedding: number };
  /** Bytes of all files. */
  readonly size: number;
}

/** What an encoder is made of. */
interface EncoderInspection extends Inspection {
  readonly kind: "encoder";
  /** Weights that run until an exit, the embedding table included. */
  readonly exits: readonly { readonly layer: number; readonly parameters: number }[];
  readonly widths: readonly number[];
  readonly maxTokens: Readonly<Record<Kind, number>>;
  readonly pairs: EncoderModel["pairs"];
  readonly default: EncoderModel["default"];
}

/** What a decoder is made of. */
export interface DecoderInspection extends Inspection {
  readonly kind: "decoder";
  /** Tokens of prompt and answer together, at most. */
  readonly context: number;
  /** By layer: modules, and how many of them run for a token. */
  readonly modules: Readonly<
    Record<"attention" | "feedforward", readonly { readonly count: number; readonly top: number }[]>
  >;
  /** How often each module serves each domain, where it was counted. */
  readonly frequencies: Readonly<Record<string, Frequencies>>;
}

interface InspectModel extends Counting {
  readonly folders?: readonly string[] | undefined;
  /** A file of text on which a decoder's modules are counted now, instead of what config.json says; see `readSamples`. */
  readonly on?: string | undefined;
  /** Lines of it at most. Default: 200. */
  readonly most?: number | undefined;
  /** What computes while modules are counted. Default: the CPU engine. */
  readonly engine?: Engine | undefined;
}

/**
 * What a model is made of, and which modules of a decoder serve what.
 * @throws TesseraError UNKNOWN_RESOURCE; BAD_BUNDLE; MISSING_CAPABILITY where modules are to be counted and there are none;
 * as `readSamples` and `moduleFrequencies`
 */
export async function inspectModel(
  name?: string,
  { folders, ...options }: InspectModel = {},
): Promise<EncoderInspection | DecoderInspection> {
  const folder = await findModel(name, folders);
  if ((await kindOfModel(folder)) === "decoder") return inspectDecoder(folder, options);
  const model = await openEncoderModel(folder);
  if (options.on !== undefined)
    throw new TesseraError("MISSING_CAPABILITY", "an encoder has no modules to count", { path: model.name });
  return inspectEncoder(folder, model);
}

async function inspectEncoder(folder: string, model: EncoderModel): Promise<EncoderInspection> {
  const until = (layer: number): number =>
    parametersOf({
      blocks: model.blocks.slice(0, layer),
      exits: model.exits.filter((exit) => exit.layer <= layer),
    });
  const embedding = parametersOf(model.embedding);
  const total = until(model.blocks.length);
  return {
    kind: "encoder",
    name: model.name,
    folder,
    revision: model.revision,
    architecture: model.architecture,
    layers: model.blocks.length,
    hidden: model.hidden,
    heads: model.heads,
    vocabulary: model.embedding.rows,
    parameters: { total, active: total, embedding },
    size: await sizeOf(folder),
    exits: model.exits.map(({ layer }) => ({ layer, parameters: embedding + until(layer) })),
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

async function inspectDecoder(
  folder: string,
  { on, most = 200, engine = cpuEngine(), ...counting }: Omit<InspectModel, "folders">,
): Promise<DecoderInspection> {
  const model = await openDecoderModel(folder);
  const modules = (kind: "attention" | "feedforward"): { count: number; top: number }[] =>
    model.layers.map((layer) => {
      const { routing, output } = layer[kind];
      return { count: output.length, top: routing.kind === "none" ? 1 : routing.top };
    });
  const counted = async (path: string): Promise<Record<string, Frequencies>> => {
    const samples = await readSamples(path, model, await readTokenizer(tokenizerPath(folder)), most);
    return moduleFrequencies(model, samples, engine, counting);
  };
  return {
    kind: "decoder",
    name: model.name,
    folder,
    revision: model.revision,
    architecture: model.architecture,
    layers: model.layers.length,
    hidden: model.hidden,
    heads: model.heads,
    vocabulary: model.embedding.rows,
    context: model.context,
    parameters: parametersOfDecoder(model),
    size: await sizeOf(folder),
    modules: { attention: modules("attention"), feedforward: modules("feedforward") },
    frequencies: on === undefined ? (model.frequencies ?? {}) : await counted(on),
  };
}

function parametersOfDecoder(model: DecoderModel): Inspection["parameters"] {
  const embedding = parametersOf(model.embedding) + (model.head === model.embedding ? 0 : parametersOf(model.head));
  const total = parametersOf({ layers: model.layers, norm: model.norm });
  let resting = 0;
  for (const { attention, feedforward } of model.layers)
    for (const { routing, ...part } of [attention, feedforward]) {
      if (routing.kind === "none") continue;
      const matrices = "query" in part ? [part.query, part.output] : [part.input, part.output];
      // a module's part of the whole, times those that do not run
      for (const some of matrices) resting += (parametersOf(some) * (some.length - routing.top)) / some.length;
    }
  return { total, active: total - resting, embedding };
}

/** Fields of numbers that nobody learnt. */
const noParameters: ReadonlySet<string> = new Set([
  "scale" satisfies keyof Matrix,
  "rotary" satisfies keyof SoftmaxAttention,
]);

/** Weights in a tree of matrices and norms; scales are no parameters of their own. */
function parametersOf(tree: unknown): number {
  if (ArrayBuffer.isView(tree)) return (tree as Float32Array).length;
  if (typeof tree !== "object" || tree === null) return 0;
  if ("stored" in tree) {
    const { rows, columns, bias } = tree as StoredMatrix;
    return rows * columns + (bias?.length ?? 0);
  }
  return Object.entries(tree).reduce((sum, [key, value]) => sum + (noParameters.has(key) ? 0 : parametersOf(value)), 0);
}
