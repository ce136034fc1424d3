import { TesseraError } from "@tessera/core";
import { z } from "zod";
import { configOf } from "../formats/bundle.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { ModelTensors } from "../formats/model-tensors.js";
import { sentenceSettings } from "../formats/sentence-transformers.js";
import type { EncoderArchitecture } from "./architecture.js";
import { exitsAndFrames } from "./bert.js";
import type { Block, EncoderModel, Norm } from "./encoder.js";

const size = z.int().positive();
const fields = z.looseObject({
  vocab_size: size,
  hidden_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size,
  head_dim: size,
  intermediate_size: size,
  max_position_embeddings: size.min(3),
  rms_norm_eps: z.number().positive(),
  hidden_act: z.literal("silu"),
  // before transformers 5 a number of its own
  rope_theta: z.number().positive().optional(),
  rope_parameters: z
    .looseObject({ rope_theta: z.number().positive(), rope_type: z.literal("default").optional() })
    .nullish(),
  rope_scaling: z.null().optional(),
  attention_bias: z.literal(false).nullish(),
  use_sliding_window: z.literal(false).nullish(),
});

/**
 * A Qwen3 body as an encoder (Qwen3-Embedding): each token attends to those before it, and a text's vector is the state of its
 * last token, the mark that the tokenizer puts behind it. Every layer is an exit; the last has the final norm.
 */
async function readQwen3(checkpoint: Checkpoint): Promise<EncoderModel> {
  const config = configOf(fields, checkpoint.config, checkpoint.configPath);
  const { hidden_size: hidden, intermediate_size: inner, num_hidden_layers: layers, head_dim: head } = config;
  const ropeTheta = config.rope_parameters?.rope_theta ?? config.rope_theta;
  if (ropeTheta === undefined)
    throw new TesseraError("BAD_BUNDLE", "rope_theta is missing", { path: checkpoint.configPath });
  const sentences = await sentenceSettings(checkpoint, config.max_position_embeddings);
  const weights = await checkpoint.weights();
  const tensors = new ModelTensors(weights, config.rms_norm_eps);
  const body = weights.tensors.has("model.norm.weight") ? "model." : "";
  const norm = (name: string, width: number): Norm => tensors.norm("rms", `${body}${name}`, width);
  const matrix = (name: string, rows: number, columns: number) =>
    tensors.singleMatrix(`${body}${name}.weight`, rows, columns);
  const embedding = matrix("embed_tokens", config.vocab_size, hidden);
  const [queries, keys] = [config.num_attention_heads * head, config.num_key_value_heads * head];
  const blocks = Array.from({ length: layers }, (_, i): Block => {
    const layer = `layers.${i}`;
    return {
      attentionNorm: norm(`${layer}.input_layernorm`, hidden),
      query: matrix(`${layer}.self_attn.q_proj`, queries, hidden),
      key: matrix(`${layer}.self_attn.k_proj`, keys, hidden),
      value: matrix(`${layer}.self_attn.v_proj`, keys, hidden),
      output: matrix(`${layer}.self_attn.o_proj`, hidden, queries),
      queryNorm: norm(`${layer}.self_attn.q_norm`, head),
      keyNorm: norm(`${layer}.self_attn.k_norm`, head),
      ropeTheta,
      feedforwardNorm: norm(`${layer}.post_attention_layernorm`, hidden),
      gate: matrix(`${layer}.mlp.gate_proj`, inner, hidden),
      up: matrix(`${layer}.mlp.up_proj`, inner, hidden),
      down: matrix(`${layer}.mlp.down_proj`, hidden, inner),
      activation: "silu",
    };
  });
  const settings = exitsAndFrames(sentences, layers, hidden);
  const last = norm("norm", hidden);
  tensors.assertAllTaken(/^lm_head\./);
  return {
    name: checkpoint.name,
    revision: weights.revision,
    architecture: "qwen3",
    hidden,
    heads: config.num_attention_heads,
    keyValueHeads: config.num_key_value_heads,
    headSize: head,
    normPlace: "before",
    causal: true,
    embedding,
    blocks,
    ...settings,
    exits: settings.exits.map(({ layer }) => (layer === layers ? { layer, norm: last } : { layer })),
  };
}

export const qwen3Encoder: EncoderArchitecture = { kind: "encoder", types: ["qwen3"], read: readQwen3 };
