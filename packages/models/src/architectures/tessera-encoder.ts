import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import { z } from "zod";
import { type Bundle, configOf, readBundle } from "../formats/bundle.js";
import { readJson } from "../formats/json-file.js";
import { ModelTensors, rowsOf } from "../formats/model-tensors.js";
import type { EncoderArchitecture } from "./architecture.js";
import { type Block, type EncoderModel, type ExitHead, type Frame, type Kind, kinds, type Norm } from "./encoder.js";

const natural = z.int().nonnegative();
const size = z.int().positive();
const pair = z.object({ query: size, index: size });

/** The fields of config.json that architecture "tessera-encoder" adds. */
const encoderConfig = z
  .object({
    name: z.string(),
    architecture: z.literal("tessera-encoder"),
    vocabulary: size,
    hidden: size,
    layers: size,
    heads: size,
    intermediate: size,
    ropeTheta: z.number().positive(),
    normEpsilon: z.number().positive(),
    exits: z.array(size).min(1),
    widths: z.array(size).min(1),
    maxTokens: z.object({ query: size.min(3), code: size.min(3), text: size.min(3) }),
    specialTokens: z.looseObject({ cls: natural, query: natural, code: natural, text: natural }),
    pairs: z.array(pair),
    default: pair,
  })
  .superRefine((config, context) => {
    const refuse = (path: string, message: string): void => context.addIssue({ code: "custom", path: [path], message });
    if (config.hidden % (2 * config.heads) !== 0) refuse("heads", "hidden / heads must be an even whole number");
    if (!isRising(config.exits) || config.exits.at(-1) !== config.layers)
      refuse("exits", "exits must rise and end with the last layer");
    if (!isRising(config.widths) || config.widths.at(-1) !== config.hidden)
      refuse("widths", "widths must rise and end with hidden");
    for (const { query, index } of [...config.pairs, config.default])
      if (!config.exits.includes(query) || !config.exits.includes(index))
        refuse("pairs", `${query} → ${index} names a layer that is no exit`);
    if (!config.pairs.some(({ query, index }) => query === config.default.query && index === config.default.index))
      refuse("default", "the default must be one of the pairs");
    for (const kind of ["cls", ...kinds] as const)
      if (config.specialTokens[kind] >= config.vocabulary) refuse("specialTokens", `${kind} is outside the vocabulary`);
  });

export type EncoderConfig = z.infer<typeof encoderConfig>;

const isRising = (numbers: readonly number[]): boolean =>
  numbers.every((value, i) => i === 0 || value > numbers[i - 1]!);

/**
 * The model of a bundle of architecture "tessera-encoder".
 * @throws TesseraError BAD_BUNDLE where the config or a tensor is not as docs/models/bundle.md says.
 */
export function encoderModel(bundle: Bundle): EncoderModel {
  const config = configOf(encoderConfig, bundle.config, join(bundle.folder, "config.json"));
  const { hidden, intermediate } = config;
  const tensors = new ModelTensors(bundle, config.normEpsilon);
  const norm = (name: string): Norm => tensors.norm("rms", name, hidden);

  const embedding = tensors.matrix("embedding.weight", config.vocabulary, hidden);
  const blocks = Array.from({ length: config.layers }, (_, i): Block => {
    const qkv = tensors.matrix(`layers.${i}.attention.qkv.weight`, 3 * hidden, hidden);
    const gateUp = tensors.matrix(`layers.${i}.feedforward.gate_up.weight`, 2 * intermediate, hidden);
    return {
      attentionNorm: norm(`layers.${i}.attention.norm`),
      query: rowsOf(qkv, 0, hidden),
      key: rowsOf(qkv, hidden, hidden),
      value: rowsOf(qkv, 2 * hidden, hidden),
      output: tensors.matrix(`layers.${i}.attention.output.weight`, hidden, hidden),
      feedforwardNorm: norm(`layers.${i}.feedforward.norm`),
      gate: rowsOf(gateUp, 0, intermediate),
      up: rowsOf(gateUp, intermediate, intermediate),
      down: tensors.matrix(`layers.${i}.feedforward.down.weight`, hidden, intermediate),
      activation: "silu",
      ropeTheta: config.ropeTheta,
    };
  });
  const exits = config.exits.map(
    (layer): ExitHead => ({
      layer,
      norm: norm(`exits.${layer}.norm`),
      projection: tensors.matrix(`exits.${layer}.projection.weight`, hidden, hidden),
    }),
  );
  tensors.assertAllTaken();

  const frame = (kind: Kind): Frame => ({
    before: [config.specialTokens.cls, config.specialTokens[kind]],
    after: [],
    maxTokens: config.maxTokens[kind],
  });
  return {
    name: bundle.name,
    revision: bundle.revision,
    architecture: bundle.architecture,
    hidden,
    heads: config.heads,
    keyValueHeads: config.heads,
    normPlace: "before",
    pooling: "mean",
    embedding,
    blocks,
    exits,
    widths: config.widths,
    frames: { query: frame("query"), code: frame("code"), text: frame("text") },
    pairs: config.pairs,
    default: config.default,
  };
}

export const tesseraEncoder: EncoderArchitecture = {
  kind: "encoder",
  types: ["tessera-encoder"],
  read: async ({ path }) => encoderModel(await readBundle(path)),
};

export interface GoldenCase {
  readonly name: string;
  readonly kind: Kind;
  readonly text: string;
  /** The whole input, special tokens included. */
  readonly ids: readonly number[];
  /** The unit vector at full width, by exit. */
  readonly vectors: Readonly<Record<string, readonly number[]>>;
}

const golden = z.object({
  cases: z
    .array(
      z.object({
        name: z.string(),
        kind: z.enum(kinds),
        text: z.string(),
        ids: z.array(natural).min(1),
        vectors: z.record(z.string(), z.array(z.number())),
      }),
    )
    .min(1),
});

/**
 * The golden cases of a bundle: inputs, and the vectors that every engine must reach.
 * @throws TesseraError BAD_BUNDLE where golden.json is missing or does not fit the model.
 */
export async function readGolden(folder: string, model: EncoderModel): Promise<readonly GoldenCase[]> {
  const path = join(folder, "golden.json");
  const parsed = configOf(golden, (await readJson(path)).value, path);
  for (const { name, kind, ids, vectors } of parsed.cases) {
    const refuse = (message: string): TesseraError =>
      new TesseraError("BAD_BUNDLE", `case "${name}": ${message}`, { path });
    if (ids.some((id) => id >= model.embedding.rows)) throw refuse("an id is outside the vocabulary");
    if (ids.length > model.frames[kind].maxTokens) throw refuse("the input is longer than the model takes");
    for (const { layer } of model.exits)
      if (vectors[layer]?.length !== model.hidden)
        throw refuse(`no vector of ${model.hidden} numbers for exit ${layer}`);
  }
  return parsed.cases;
}
