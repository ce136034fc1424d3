import { TesseraError } from "@tessera/core";
import { z } from "zod";
import { configOf } from "../formats/bundle.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { ModelTensors } from "../formats/model-tensors.js";
import type { EncoderArchitecture } from "./architecture.js";
import type { Block, EncoderModel, ExitHead, Frame, Matrix, Norm } from "./encoder.js";

const size = z.int().positive();

const starConfig = z.looseObject({
  hidden_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size,
  intermediate_size: size,
  vocab_size: size,
  norm_epsilon: z.number().positive(),
  rope_theta: z.number().positive(),
  max_position_embeddings: size.min(64),
  hidden_act: z.literal("gelu_pytorch_tanh"),
  matryoshka_layers: z.array(size).min(1),
  /** The releases that were cut after one exit say after which. */
  till_layer: size.nullish(),
  sep_token_id: z.int().nonnegative(),
  cls_token_id: z.int().nonnegative(),
});

/** The instructions of the published model; a code snippet is introduced by its language. */
const instructions = {
  text: "Represent this code description for retrieving supporting snippets of code:",
  code: (language: string): string => `Represent this ${language} code snippet for retrieval:`,
};

/** The tensors of a checkpoint, by what they are for. */
async function starTensors(
  checkpoint: Checkpoint,
  config: z.infer<typeof starConfig>,
  { layers, exitLayers }: { layers: number; exitLayers: readonly number[] },
) {
  const { hidden_size: hidden, num_attention_heads: heads, num_key_value_heads: shared } = config;
  const weights = await checkpoint.weights();
  const tensors = new ModelTensors(weights, config.norm_epsilon);
  const names = [...weights.tensors.keys()];
  const bias = (name: string, length: number): Float32Array | undefined =>
    names.includes(name) ? tensors.single(name, [length]) : undefined;
  const matrix = (name: string, rows: number, columns: number): Matrix => ({
    ...tensors.singleMatrix(`${name}.weight`, rows, columns),
    bias: bias(`${name}.bias`, rows),
  });
  const norm = (name: string): Norm => ({
    kind: "layer",
    epsilon: config.norm_epsilon,
    weight: tensors.single(`${name}.weight`, [hidden]),
    bias: bias(`${name}.bias`, hidden),
  });

  const embeddingName = names.find((name) => name.endsWith("embed_tokens.weight"));
  if (!embeddingName) throw tensors.bad("embed_tokens.weight", "the tensor is missing");
  const body = embeddingName.slice(0, -"embed_tokens.weight".length);
  const sharedWidth = (hidden / heads) * shared;
  const blocks = Array.from({ length: layers }, (_, i): Block => {
    const layer = `${body}layers.${i}`;
    return {
      attentionNorm: norm(`${layer}.input_layernorm`),
      query: matrix(`${layer}.self_attn.q_proj`, hidden, hidden),
      key: matrix(`${layer}.self_attn.k_proj`, sharedWidth, hidden),
      value: matrix(`${layer}.self_attn.v_proj`, sharedWidth, hidden),
      output: matrix(`${layer}.self_attn.o_proj`, hidden, hidden),
      feedforwardNorm: norm(`${layer}.post_attention_layernorm`),
      up: matrix(`${layer}.mlp.c_fc`, config.intermediate_size, hidden),
      down: matrix(`${layer}.mlp.c_proj`, hidden, config.intermediate_size),
      activation: "gelu-tanh",
      ropeTheta: config.rope_theta,
    };
  });
  const projections = projectionNames(names);
  const found = exitLayers.flatMap((layer) => {
    const name = projections.length === 1 ? projections[0] : projections[config.matryoshka_layers.indexOf(layer)];
    return projections.length === 1 && layer !== layers ? [] : [{ layer, name }];
  });
  const exits = found.map(({ layer, name }): ExitHead => {
    if (name === undefined) throw tensors.bad("projection_fn", `there is no projection for the exit at layer ${layer}`);
    const isLast = layer === config.num_hidden_layers && names.includes(`${body}norm.weight`);
    return { layer, norm: isLast ? norm(`${body}norm`) : undefined, projection: matrix(name, hidden, hidden) };
  });
  const embedding = tensors.singleMatrix(embeddingName, config.vocab_size, hidden);
  return { revision: weights.revision, embedding, blocks, exits };
}

/**
 * A checkpoint in the Hugging Face layout of ModularStarEncoder (arXiv 2503.03008): a StarCoder2 body without its causal
 * mask (grouped-query attention, LayerNorm with bias, RoPE, a plain MLP), `matryoshka_layers`, and one projection an
 * exit. Its input is [sep] instruction [sep] text [cls], and the vector of the closing [cls] is the embedding. The body's
 * last norm belongs to the last exit alone, as `hidden_states` of transformers has it. Weights may be fp32, fp16 or bf16.
 *
 * Vectors have unit length here; the published code divides only by norms above 1, which leaves every cosine as it is.
 * @throws TesseraError BAD_BUNDLE with the file and the tensor
 */
export async function readStarEncoder(
  checkpoint: Checkpoint,
  { language = "python" }: { language?: string } = {},
): Promise<EncoderModel> {
  const config = configOf(starConfig, checkpoint.config, checkpoint.configPath);
  const { hidden_size: hidden, num_attention_heads: heads, num_key_value_heads: shared } = config;
  const layers = Math.min(config.num_hidden_layers, config.till_layer ?? Number.POSITIVE_INFINITY);
  const exitLayers = config.matryoshka_layers.filter((layer) => layer <= layers).sort((a, b) => a - b);
  if (hidden % (2 * heads) !== 0 || heads % shared !== 0 || exitLayers.at(-1) !== layers)
    throw new TesseraError("BAD_BUNDLE", "the heads do not divide the width, or the last layer is no exit", {
      path: checkpoint.configPath,
    });

  const { revision, embedding, blocks, exits } = await starTensors(checkpoint, config, { layers, exitLayers });
  const frame = (instruction: string): Frame => ({
    before: [config.sep_token_id, instruction, config.sep_token_id],
    after: [config.cls_token_id],
    maxTokens: config.max_position_embeddings,
  });
  return {
    name: checkpoint.name,
    revision,
    architecture: "modular-star-encoder",
    hidden,
    heads,
    keyValueHeads: shared,
    normPlace: "before",
    pooling: "last",
    embedding,
    blocks,
    exits,
    widths: [hidden],
    frames: {
      query: frame(instructions.text),
      text: frame(instructions.text),
      code: frame(instructions.code(language)),
    },
    pairs: exits.map(({ layer }) => ({ query: layer, index: layer })),
    default: { query: exits.at(-1)!.layer, index: exits.at(-1)!.layer },
  };
}

export const modularStarEncoder: EncoderArchitecture = {
  kind: "encoder",
  types: ["modular-star-encoder"],
  // its model_type has had several values; these two fields occur together in no other family
  recognises: (config) => "matryoshka_layers" in config && "num_key_value_heads" in config,
  read: (checkpoint) => readStarEncoder(checkpoint),
};

/** Names without ".weight", in the order of the exits; what precedes and follows the number is not known for certain. */
function projectionNames(tensors: readonly string[]): string[] {
  const numbered = tensors.flatMap((name) => {
    const match = /projection\w*\.(\d+)\.(?:\w+\.)*weight$/.exec(name);
    return match ? [{ name: name.slice(0, -".weight".length), number: Number(match[1]) }] : [];
  });
  return numbered.sort((a, b) => a.number - b.number).map(({ name }) => name);
}
