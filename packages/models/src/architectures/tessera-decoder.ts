import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import { z } from "zod";
import { type Bundle, configOf, readBundle } from "../formats/bundle.js";
import { readJson } from "../formats/json-file.js";
import { ModelTensors, rowsOf } from "../formats/model-tensors.js";
import { loaded } from "../formats/stored-rows.js";
import type { DecoderArchitecture } from "./architecture.js";
import type { AttentionModules, DecoderModel, FeedforwardModules, Routing } from "./decoder.js";
import type { Matrix } from "./encoder.js";

const natural = z.int().nonnegative();
const size = z.int().positive();
/** One number for all layers, or a list with one number a layer. */
const counts = z.union([size, z.array(size)]);
const marks = z.looseObject({ end: natural, system: natural, user: natural, assistant: natural });
const shares = z.array(z.array(z.number().min(0)));

const shared = {
  name: z.string(),
  vocabulary: size,
  hidden: size,
  layers: size,
  context: size,
  normEpsilon: z.number().positive(),
  tiedEmbedding: z.boolean(),
  specialTokens: marks,
  prompts: z.literal("brief").optional(),
  frequencies: z.record(z.string(), z.object({ attention: shares, feedforward: shares })).optional(),
};
const mixture = z.object({
  ...shared,
  architecture: z.literal("tessera-moe"),
  attention: z.object({ experts: counts, top: size, size, heads: size, current: z.boolean() }),
  feedforward: z.object({ experts: counts, top: size, size }),
  gate: size,
});
const dense = z.object({
  ...shared,
  architecture: z.literal("tessera-dense"),
  attention: z.object({ size, heads: size, current: z.boolean() }),
  feedforward: z.object({ size }),
  /** After the conversion to emergent experts; layers from 0. */
  emergent: z.object({ layers: z.array(natural), experts: size, top: size }).optional(),
});

/** The fields of config.json that decoders add. */
const decoderConfig = z.discriminatedUnion("architecture", [mixture, dense]).superRefine((config, context) => {
  const refuse = (path: string, message: string): void => context.addIssue({ code: "custom", path: [path], message });
  if (config.attention.size % config.attention.heads !== 0) refuse("attention", "size must be divisible by heads");
  for (const [mark, id] of Object.entries(config.specialTokens))
    if (typeof id === "number" && id >= config.vocabulary) refuse("specialTokens", `${mark} is outside the vocabulary`);
  if (config.architecture === "tessera-moe")
    for (const kind of ["attention", "feedforward"] as const) {
      const { experts, top } = config[kind];
      if (Array.isArray(experts) && experts.length !== config.layers) refuse(kind, "experts needs one number a layer");
      if ([experts].flat().some((count) => count < top)) refuse(kind, "a layer has fewer modules than top");
    }
  else if (config.emergent) {
    const { layers, experts, top } = config.emergent;
    if (layers.some((layer) => layer >= config.layers)) refuse("emergent", "a layer is not there");
    if (config.feedforward.size % experts !== 0) refuse("emergent", "experts must divide the feedforward's size");
    if (top > experts) refuse("emergent", "top is above the number of experts");
  }
});

export type DecoderConfig = z.infer<typeof decoderConfig>;

/**
 * The model of a bundle of architecture "tessera-moe" or "tessera-dense".
 * @throws TesseraError BAD_BUNDLE where the config or a tensor is not as docs/models/decoder-bundle.md says.
 */
export function decoderModel(bundle: Bundle): DecoderModel {
  const config = configOf(decoderConfig, bundle.config, join(bundle.folder, "config.json"));
  const { hidden, vocabulary } = config;
  const tensors = new ModelTensors(bundle, config.normEpsilon);
  const modules = config.architecture === "tessera-moe" ? mixtureReader(config, tensors) : denseReader(config, tensors);

  const embedding = tensors.matrix("embedding.weight", vocabulary, hidden);
  const layers = Array.from({ length: config.layers }, (_, i) => modules(i));
  const model: DecoderModel = {
    name: bundle.name,
    revision: bundle.revision,
    architecture: bundle.architecture,
    hidden,
    heads: config.attention.heads,
    attendsCurrent: config.attention.current,
    context: config.context,
    embedding,
    layers,
    norm: tensors.norm("layer", "norm", hidden),
    head: config.tiedEmbedding ? embedding : tensors.matrix("head.weight", vocabulary, hidden),
    marks: config.specialTokens,
    prompts: config.prompts,
    frequencies: config.frequencies,
  };
  tensors.assertAllTaken();
  return model;
}

export const tesseraDecoder: DecoderArchitecture = {
  kind: "decoder",
  types: ["tessera-moe", "tessera-dense"],
  read: async ({ path }) => decoderModel(await readBundle(path)),
};

type LayerReader = (layer: number) => DecoderModel["layers"][number];

function keyValueOf(tensors: ModelTensors, name: string, size: number, hidden: number): AttentionModules["keyValue"] {
  const both: Matrix = {
    ...tensors.matrix(`${name}.key_value.weight`, 2 * size, hidden),
    bias: tensors.single(`${name}.key_value.bias`, [2 * size]),
  };
  return { key: rowsOf(both, 0, size), value: rowsOf(both, size, size) };
}

function mixtureReader(config: z.infer<typeof mixture>, tensors: ModelTensors): LayerReader {
  const { hidden, gate, attention, feedforward } = config;
  const countOf = (experts: number | number[], layer: number): number =>
    Array.isArray(experts) ? experts[layer]! : experts;
  const routing = (name: string, experts: number, top: number): Routing => ({
    kind: "learned",
    router: {
      input: {
        ...tensors.matrix(`${name}.gate.input.weight`, gate, hidden),
        bias: tensors.single(`${name}.gate.input.bias`, [gate]),
      },
      output: tensors.matrix(`${name}.gate.output.weight`, experts, gate),
    },
    top,
  });
  return (layer) => {
    const [heads, experts] = [countOf(attention.experts, layer), countOf(feedforward.experts, layer)];
    const [above, below] = [`layers.${layer}.attention`, `layers.${layer}.feedforward`];
    return {
      attention: {
        norm: tensors.norm("layer", `${above}.norm`, hidden),
        routing: routing(above, heads, attention.top),
        query: tensors.matrices(`${above}.query.weight`, heads, attention.size, hidden),
        output: tensors.matrices(`${above}.output.weight`, heads, hidden, attention.size),
        keyValue: keyValueOf(tensors, above, attention.size, hidden),
      },
      feedforward: {
        norm: tensors.norm("layer", `${below}.norm`, hidden),
        routing: routing(below, experts, feedforward.top),
        input: tensors.matrices(`${below}.input.weight`, experts, feedforward.size, hidden),
        output: tensors.matrices(`${below}.output.weight`, experts, hidden, feedforward.size),
      },
    };
  };
}

function denseReader(config: z.infer<typeof dense>, tensors: ModelTensors): LayerReader {
  const { hidden, attention, feedforward, emergent } = config;
  return (layer) => {
    const [above, below] = [`layers.${layer}.attention`, `layers.${layer}.feedforward`];
    const whole: FeedforwardModules = {
      norm: tensors.norm("layer", `${below}.norm`, hidden),
      routing: { kind: "none" },
      input: [tensors.matrix(`${below}.input.weight`, feedforward.size, hidden)],
      output: [tensors.matrix(`${below}.output.weight`, hidden, feedforward.size)],
    };
    return {
      attention: {
        norm: tensors.norm("layer", `${above}.norm`, hidden),
        routing: { kind: "none" },
        query: [tensors.matrix(`${above}.query.weight`, attention.size, hidden)],
        output: [tensors.matrix(`${above}.output.weight`, hidden, attention.size)],
        keyValue: keyValueOf(tensors, above, attention.size, hidden),
      },
      feedforward: emergent?.layers.includes(layer) ? split(whole, emergent.experts, emergent.top) : whole,
    };
  };
}

/** One feedforward as experts of neighbouring neurons (EMoE): views of rows of `input`, copies of columns of `output`. */
export function split({ norm, input, output }: FeedforwardModules, experts: number, top: number): FeedforwardModules {
  const [whole, back] = [loaded(input[0]!), loaded(output[0]!)];
  const width = whole.rows / experts;
  return {
    norm,
    routing: { kind: "average", top },
    input: Array.from({ length: experts }, (_, e) => rowsOf(whole, e * width, width)),
    output: Array.from({ length: experts }, (_, e) => columnsOf(back, e * width, width)),
  };
}

function columnsOf({ rows, columns, values, scale }: Matrix, first: number, count: number): Matrix {
  const kept = values instanceof Int8Array ? new Int8Array(rows * count) : new Float32Array(rows * count);
  for (let row = 0; row < rows; row++)
    kept.set(values.subarray(row * columns + first, row * columns + first + count), row * count);
  return { rows, columns: count, values: kept, scale };
}

/** What every engine must reach on one sequence; docs/models/decoder-bundle.md says what each field is. */
export interface DecoderGoldenCase {
  readonly name: string;
  readonly ids: readonly number[];
  readonly logprobs: readonly number[];
  readonly argmax: readonly number[];
  readonly last: readonly (readonly [id: number, logit: number])[];
  readonly attention?: readonly (readonly (readonly number[])[])[] | undefined;
  readonly feedforward?: readonly (readonly (readonly number[])[])[] | undefined;
  readonly margin?: readonly number[] | undefined;
  readonly greedy: readonly number[];
}

const chosen = z.array(z.array(z.array(natural)));
const golden = z.object({
  cases: z
    .array(
      z.object({
        name: z.string(),
        ids: z.array(natural).min(1),
        logprobs: z.array(z.number()),
        argmax: z.array(natural),
        last: z.array(z.tuple([natural, z.number()])),
        attention: chosen.optional(),
        feedforward: chosen.optional(),
        margin: z.array(z.number()).optional(),
        greedy: z.array(natural),
      }),
    )
    .min(1),
});

/**
 * The golden cases of a decoder's bundle.
 * @throws TesseraError BAD_BUNDLE where golden.json is missing or does not fit the model.
 */
export async function readDecoderGolden(folder: string, model: DecoderModel): Promise<readonly DecoderGoldenCase[]> {
  const path = join(folder, "golden.json");
  const parsed = configOf(golden, (await readJson(path)).value, path);
  for (const { name, ids, logprobs, argmax, greedy } of parsed.cases) {
    const refuse = (message: string): TesseraError =>
      new TesseraError("BAD_BUNDLE", `case "${name}": ${message}`, { path });
    if ([...ids, ...argmax, ...greedy].some((id) => id >= model.embedding.rows))
      throw refuse("an id is outside the vocabulary");
    if (ids.length > model.context) throw refuse("the sequence is longer than the model takes");
    if (logprobs.length !== ids.length - 1 || argmax.length !== ids.length - 1)
      throw refuse("there must be one log-probability and one likeliest id for every position but the last");
  }
  return parsed.cases;
}
