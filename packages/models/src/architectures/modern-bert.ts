import { z } from "zod";
import { configOf } from "../formats/bundle.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { ModelTensors, rowsOf } from "../formats/model-tensors.js";
import { sentenceSettings } from "../formats/sentence-transformers.js";
import type { EncoderArchitecture } from "./architecture.js";
import { activation, exitsAndFrames } from "./bert.js";
import type { Block, EncoderModel, Norm } from "./encoder.js";

const size = z.int().positive();
const theta = z.looseObject({ rope_theta: z.number().positive(), rope_type: z.literal("default").optional() });
const no = z.literal(false).nullish();

const fields = z
  .looseObject({
    vocab_size: size,
    hidden_size: size,
    num_hidden_layers: size,
    num_attention_heads: size,
    intermediate_size: size,
    max_position_embeddings: size.min(3),
    norm_eps: z.number().positive(),
    hidden_activation: activation,
    local_attention: size,
    global_attn_every_n_layers: size,
    // before transformers 5 two numbers, since then one table
    global_rope_theta: z.number().positive().optional(),
    local_rope_theta: z.number().positive().optional(),
    rope_parameters: z.looseObject({ full_attention: theta, sliding_attention: theta }).optional(),
    attention_bias: no,
    mlp_bias: no,
    norm_bias: no,
  })
  .refine((config) => config.hidden_size % (2 * config.num_attention_heads) === 0, {
    path: ["num_attention_heads"],
    message: "the heads do not divide the width into halves",
  })
  .refine((config) => config.rope_parameters ?? (config.global_rope_theta && config.local_rope_theta), {
    path: ["rope_parameters"],
    message: "there are no rotation bases of local and global layers",
  });

/** Parts of published files that no vector depends on: the heads of masked words and of classes. */
const passedOver = /^(?:head\.|decoder\.|classifier\.)/;

/**
 * ModernBERT (arXiv 2412.13663): rotary positions, norms before each part (none before the first attention), gated feedforwards,
 * and layers that see `local_attention` / 2 places to each side between layers that see all. Every layer is an exit; the last has
 * the final norm.
 */
async function readModernBert(checkpoint: Checkpoint): Promise<EncoderModel> {
  const config = configOf(fields, checkpoint.config, checkpoint.configPath);
  const { hidden_size: hidden, intermediate_size: inner, num_hidden_layers: layers } = config;
  const sentences = await sentenceSettings(checkpoint, config.max_position_embeddings);
  const weights = await checkpoint.weights();
  const tensors = new ModelTensors(weights, config.norm_eps);
  const body = weights.tensors.has("model.final_norm.weight") ? "model." : "";
  const norm = (name: string): Norm => ({
    kind: "layer",
    epsilon: config.norm_eps,
    weight: tensors.single(`${body}${name}.weight`, [hidden]),
  });
  const { full_attention: full, sliding_attention: sliding } = config.rope_parameters ?? {};
  const globalTheta = full?.rope_theta ?? config.global_rope_theta!;
  const localTheta = sliding?.rope_theta ?? config.local_rope_theta!;
  const embedding = tensors.singleMatrix(`${body}embeddings.tok_embeddings.weight`, config.vocab_size, hidden);
  const blocks = Array.from({ length: layers }, (_, i): Block => {
    const layer = `layers.${i}`;
    const isGlobal = i % config.global_attn_every_n_layers === 0;
    const qkv = tensors.singleMatrix(`${body}${layer}.attn.Wqkv.weight`, 3 * hidden, hidden);
    const gateUp = tensors.singleMatrix(`${body}${layer}.mlp.Wi.weight`, 2 * inner, hidden);
    return {
      ...(i > 0 && { attentionNorm: norm(`${layer}.attn_norm`) }),
      query: rowsOf(qkv, 0, hidden),
      key: rowsOf(qkv, hidden, hidden),
      value: rowsOf(qkv, 2 * hidden, hidden),
      output: tensors.singleMatrix(`${body}${layer}.attn.Wo.weight`, hidden, hidden),
      ropeTheta: isGlobal ? globalTheta : localTheta,
      ...(!isGlobal && { reach: Math.floor(config.local_attention / 2) }),
      feedforwardNorm: norm(`${layer}.mlp_norm`),
      gate: rowsOf(gateUp, 0, inner),
      up: rowsOf(gateUp, inner, inner),
      down: tensors.singleMatrix(`${body}${layer}.mlp.Wo.weight`, hidden, inner),
      activation: config.hidden_activation,
    };
  });
  const settings = exitsAndFrames(sentences, layers, hidden);
  const last = norm("final_norm");
  const embeddingNorm = norm("embeddings.norm");
  tensors.assertAllTaken(passedOver);
  return {
    name: checkpoint.name,
    revision: weights.revision,
    architecture: "modernbert",
    hidden,
    heads: config.num_attention_heads,
    keyValueHeads: config.num_attention_heads,
    normPlace: "before",
    embedding,
    embeddingNorm,
    blocks,
    ...settings,
    exits: settings.exits.map(({ layer }) => (layer === layers ? { layer, norm: last } : { layer })),
  };
}

export const modernBert: EncoderArchitecture = { kind: "encoder", types: ["modernbert"], read: readModernBert };
