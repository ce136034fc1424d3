import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import type { DecoderModel, Frequencies } from "../architectures/decoder.js";
import { cpuEngine } from "../engines/cpu.js";
import { type Engine, ragged } from "../engines/engine.js";
import { gpuEngine } from "../engines/gpu/engine.js";
import { referenceEngine } from "../engines/reference/engine.js";
import { readDecoderGolden } from "../formats/decoder-bundle.js";
import { openDecoderModel } from "../formats/open-model.js";
import { defaultLanguageModel } from "../serving/language-model.js";
import { readTokenizer } from "../tokenizer/tokenizer.js";
import { findModel, type ModelInspection, parametersOf, sizeOf } from "./catalogue.js";
import { type Counting, moduleFrequencies, readSamples } from "./module-frequencies.js";

export interface LanguageModelInspection extends ModelInspection {
  readonly context: number;
  /** Without the embedding: all, and those that run for a token. */
  readonly parameters: { readonly total: number; readonly active: number; readonly embedding: number };
  /** By layer: modules, and how many of them run for a token. */
  readonly modules: Readonly<
    Record<"attention" | "feedforward", readonly { readonly count: number; readonly top: number }[]>
  >;
  /** How often each module serves each domain, where it was counted. */
  readonly frequencies: Readonly<Record<string, Frequencies>>;
}

export interface InspectLanguageModel extends Counting {
  readonly folders?: readonly string[] | undefined;
  /** Text whose modules are counted now, instead of what config.json says; see `readSamples`. */
  readonly on?: string | undefined;
  /** Lines of it at most. Default: 200. */
  readonly most?: number | undefined;
  readonly engine?: Engine | undefined;
}

/** What a decoder is made of, and which modules serve what. @throws TesseraError as `moduleFrequencies`, `findModel` */
export async function inspectLanguageModel(
  name: string = defaultLanguageModel,
  { folders, on, most = 200, engine = cpuEngine(), ...counting }: InspectLanguageModel = {},
): Promise<LanguageModelInspection> {
  const folder = await findModel(name, folders);
  const model = await openDecoderModel(folder);
  const modules = (kind: "attention" | "feedforward"): { count: number; top: number }[] =>
    model.layers.map((layer) => {
      const { routing, output } = layer[kind];
      return { count: output.length, top: routing.kind === "none" ? 1 : routing.top };
    });
  const counted = async (path: string): Promise<Record<string, Frequencies>> => {
    const samples = await readSamples(path, model, await readTokenizer(join(folder, "tokenizer.json")), most);
    return moduleFrequencies(model, samples, engine, counting);
  };
  return {
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

function parametersOfDecoder(model: DecoderModel): LanguageModelInspection["parameters"] {
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

export interface LanguageModelVerdict {
  readonly engine: Engine["info"];
  readonly passed: boolean;
  /** The largest difference of a log-probability, over places whose routing is not on an edge. */
  readonly difference: number;
  /** Places compared, and those left out because a router's margin before or at them is under 1e-5. */
  readonly places: number;
  readonly near: number;
  /** Likeliest next tokens that differ from the golden continuation's first, over the cases. */
  readonly otherTokens: number;
  /** Why the engine could not run. */
  readonly missing?: string;
}

/** What engines in fp32 must reach, and what others must: their weights are the same, their activations are rounded. */
const tolerance = (info: Engine["info"]): number => (info.kind === "reference" || info.dtype === "fp32" ? 1e-4 : 0.05);
/** A router that decides by less may decide otherwise on another machine. */
const edge = 1e-5;

/**
 * Compares engines with a decoder's golden cases. An engine that cannot run on this machine is reported as missing, which
 * is no failure.
 * @throws TesseraError UNKNOWN_RESOURCE, BAD_BUNDLE
 */
export async function verifyLanguageModel(
  name: string = defaultLanguageModel,
  engines: readonly Engine[] = [referenceEngine(), cpuEngine(), cpuEngine({ precision: "fp32" }), gpu()],
  folders?: readonly string[],
): Promise<LanguageModelVerdict[]> {
  const folder = await findModel(name, folders);
  const model = await openDecoderModel(folder);
  const golden = await readDecoderGolden(folder, model);
  const blockTokens = 16;
  const blocks = Math.ceil(Math.max(...golden.map(({ ids }) => ids.length)) / blockTokens);
  const verdicts: LanguageModelVerdict[] = [];
  for (const engine of engines) {
    const nothing = { engine: engine.info, difference: 0, places: 0, near: 0, otherTokens: 0 };
    if (!engine.loadDecoder) {
      verdicts.push({ ...nothing, passed: true, missing: "it computes no decoders" });
      continue;
    }
    const session = await engine.loadDecoder(model, { blocks, blockTokens }).catch((error: unknown) => {
      if (TesseraError.is(error) && error.code === "DEPENDENCY_MISSING") return error;
      throw error;
    });
    if (TesseraError.is(session)) {
      verdicts.push({ ...nothing, passed: true, missing: session.message });
      continue;
    }
    try {
      const verdict = { ...nothing };
      for (const { ids, logprobs, margin, greedy } of golden) {
        const result = await session.step({
          ...ragged([ids]),
          cached: Int32Array.of(0),
          blocks: [Int32Array.from({ length: blocks }, (_, i) => i)],
          sampling: [{ temperature: 0, topP: 1, random: 0 }],
          scored: [true],
        });
        let certain = true;
        for (const [t, expected] of logprobs.entries()) {
          certain &&= (margin?.[t] ?? 1) >= edge;
          verdict.places += 1;
          if (!certain) verdict.near += 1;
          else verdict.difference = larger(verdict.difference, Math.abs(result.scores![0]![t]! - expected));
        }
        if (greedy.length > 0 && result.next[0] !== greedy[0]) verdict.otherTokens += 1;
      }
      const strict = tolerance(engine.info) < 0.01;
      const passed = verdict.difference <= tolerance(engine.info) && (!strict || verdict.otherTokens === 0);
      verdicts.push({ ...verdict, engine: engine.info, passed });
    } finally {
      await session.close();
    }
  }
  return verdicts;
}

/** The GPU for one model; one in software counts as none. */
function gpu(): Engine {
  const info = { kind: "gpu" as const, device: "not opened", dtype: "fp16" };
  const open = async () => {
    const engine = await gpuEngine();
    Object.assign(info, engine.info);
    if (!engine.software) return engine;
    await engine.close();
    throw new TesseraError("DEPENDENCY_MISSING", `${info.device} is a GPU in software`);
  };
  return {
    info,
    loadEncoder: async (model) => (await open()).loadEncoder(model),
    async loadDecoder(model, cache) {
      const engine = await open();
      const session = await engine.loadDecoder(model, cache);
      const close = async (): Promise<void> => void (await engine.close());
      return { ...cache, step: (batch, signal) => session.step(batch, signal), close };
    },
  };
}

/** A difference that is not a number passes no comparison. */
const larger = (a: number, b: number): number => (Number.isNaN(b) ? Number.POSITIVE_INFINITY : Math.max(a, b));
