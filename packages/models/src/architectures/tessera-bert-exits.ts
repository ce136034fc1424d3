import { z } from "zod";
import { configOf } from "../formats/bundle.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { ModelTensors, rowsOf } from "../formats/model-tensors.js";
import type { EncoderArchitecture } from "./architecture.js";
import {
  type Block,
  type EncoderModel,
  type ExitHead,
  type Frame,
  type Kind,
  type Matrix,
  pairsOf,
} from "./encoder.js";

const natural = z.int().nonnegative();
const size = z.int().positive();
const length = size.min(3);

const isRising = (numbers: readonly number[]): boolean =>
  numbers.every((value, i) => i === 0 || value > numbers[i - 1]!);

/** docs/models/bert-bundle.md */
const config = z
  .looseObject({
    vocabulary: size,
    hidden: size,
    layers: size,
    heads: size,
    intermediate: size,
    positions: size,
    table: size,
    exits: z.array(natural).min(2),
    normEpsilon: z.number().positive(),
    widths: z.array(size).min(1),
    maxTokens: z.object({ query: length, text: length, code: length }),
    specialTokens: z.looseObject({ cls: natural, sep: natural }),
    default: z.object({ query: natural, index: natural }),
  })
  .superRefine((value, context) => {
    const refuse = (path: string, message: string): void => context.addIssue({ code: "custom", path: [path], message });
    const { exits, widths, layers, hidden, heads, maxTokens, positions, specialTokens, vocabulary } = value;
    if (hidden % heads !== 0) refuse("heads", "the heads do not divide the width");
    if (!isRising(exits) || exits[0] !== 0 || exits.at(-1) !== layers)
      refuse("exits", "exits must rise from 0 to the last layer");
    if (!isRising(widths) || widths.at(-1) !== hidden) refuse("widths", "widths must rise and end with hidden");
    if (Math.max(...Object.values(maxTokens)) > positions) refuse("maxTokens", "there are fewer positions");
    if (Math.max(specialTokens.cls, specialTokens.sep) >= vocabulary)
      refuse("specialTokens", "an id is outside the vocabulary");
    if (!exits.includes(value.default.query) || !exits.includes(value.default.index))
      refuse("default", "the default names a layer that is no exit");
  });

/** A bundle of a BERT trunk with exits: exit 0 is two static tables, and each deeper one adds a share of its vector. */
async function readBertExits(checkpoint: Checkpoint): Promise<EncoderModel> {
  const { hidden, intermediate, vocabulary, exits, ...fields } = configOf(
    config,
    checkpoint.config,
    checkpoint.configPath,
  );
  const weights = await checkpoint.weights();
  const tensors = new ModelTensors(weights, fields.normEpsilon);
  const matrix = (name: string, rows: number, columns: number): Matrix => ({
    ...tensors.matrix(`${name}.weight`, rows, columns),
    bias: tensors.single(`${name}.bias`, [rows]),
  });
  const embedding = tensors.matrix("words.weight", vocabulary, hidden);
  const blocks = Array.from({ length: fields.layers }, (_, i): Block => {
    const layer = `layers.${i}`;
    const qkv = matrix(`${layer}.qkv`, 3 * hidden, hidden);
    return {
      attentionNorm: tensors.norm("layer", `${layer}.attention_norm`, hidden),
      query: rowsOf(qkv, 0, hidden),
      key: rowsOf(qkv, hidden, hidden),
      value: rowsOf(qkv, 2 * hidden, hidden),
      output: matrix(`${layer}.output`, hidden, hidden),
      feedforwardNorm: tensors.norm("layer", `${layer}.feedforward_norm`, hidden),
      up: matrix(`${layer}.up`, intermediate, hidden),
      down: matrix(`${layer}.down`, hidden, intermediate),
      activation: "gelu",
    };
  });
  const shares = tensors.single("shares", [exits.length]);
  const model: EncoderModel = {
    name: checkpoint.name,
    revision: weights.revision,
    architecture: "tessera-bert-exits",
    hidden,
    heads: fields.heads,
    keyValueHeads: fields.heads,
    normPlace: "after",
    pooling: "mean",
    embedding,
    positions: tensors.matrix("positions.weight", fields.positions, hidden),
    embeddingNorm: tensors.norm("layer", "embedding_norm", hidden),
    bag: [embedding, tensors.matrix("table.weight", vocabulary, fields.table)],
    blocks,
    exits: exits.map(
      (layer, i): ExitHead =>
        layer === 0
          ? { layer, projection: matrix("exits.0", hidden, hidden + fields.table) }
          : { layer, projection: matrix(`exits.${layer}`, hidden, hidden), share: shares[i]! },
    ),
    widths: fields.widths,
    frames: framesOf(fields.maxTokens, fields.specialTokens),
    pairs: pairsOf(exits),
    default: fields.default,
  };
  tensors.assertAllTaken();
  return model;
}

function framesOf(
  maxTokens: Readonly<Record<Kind, number>>,
  { cls, sep }: { readonly cls: number; readonly sep: number },
): EncoderModel["frames"] {
  const frame = (kind: Kind): Frame => ({ before: [cls], after: [sep], maxTokens: maxTokens[kind] });
  return { query: frame("query"), text: frame("text"), code: frame("code") };
}

export const tesseraBertExits: EncoderArchitecture = {
  kind: "encoder",
  types: ["tessera-bert-exits"],
  read: readBertExits,
};
