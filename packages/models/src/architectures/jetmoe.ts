import { TesseraError } from "@tessera/core";
import { z } from "zod";
import { configOf } from "../formats/bundle.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { StoredTensors } from "../formats/stored-weights.js";
import type { DecoderArchitecture } from "./architecture.js";
import type { DecoderModel, Rotary, Routing } from "./decoder.js";
import type { Norm } from "./encoder.js";
import { RotaryError, rotaryFields, rotaryOf } from "./rotary.js";
import { chatOf, endsOf } from "./softmax-decoder.js";

const size = z.int().positive();

const fields = z.looseObject({
  vocab_size: size,
  hidden_size: size,
  num_hidden_layers: size,
  num_key_value_heads: size,
  kv_channels: size,
  intermediate_size: size,
  num_local_experts: size,
  num_experts_per_tok: size,
  rms_norm_eps: z.number().positive(),
  activation_function: z.literal("silu").default("silu"),
  eos_token_id: z.unknown().optional(),
  ...rotaryFields,
});

/**
 * JetMoE (arXiv 2404.07413): attention and feedforward are both mixtures. A chosen expert of attention has a query and an
 * output of its own for every head of keys and values, which all experts share; routers take the softmax over those chosen.
 * @throws TesseraError BAD_BUNDLE with the file, and the field or the tensor
 */
async function readJetMoe(checkpoint: Checkpoint): Promise<DecoderModel> {
  const config = configOf(fields, checkpoint.config, checkpoint.configPath);
  const refuse = (message: string): TesseraError =>
    new TesseraError("BAD_BUNDLE", message, { path: checkpoint.configPath });
  const { hidden_size: hidden, vocab_size: vocabulary, num_key_value_heads: heads, kv_channels: headSize } = config;
  const { num_local_experts: experts, num_experts_per_tok: top } = config;
  if (top > experts) throw refuse(`${top} of ${experts} experts cannot be chosen`);
  if (!checkpoint.stored) throw refuse("weights of this format cannot be read in place");
  const rotary = (() => {
    try {
      return rotaryOf(config, headSize);
    } catch (error) {
      throw error instanceof RotaryError ? refuse(error.message) : error;
    }
  })();
  const ends = await endsOf(checkpoint, config);
  if (ends.some((id) => id >= vocabulary)) throw refuse("eos_token_id is outside the vocabulary");

  const weights = await checkpoint.stored();
  const tensors = new StoredTensors(weights, config.rms_norm_eps);
  const layers = Array.from({ length: config.num_hidden_layers }, (_, i) => readLayer(tensors, config, rotary, i));
  const embedding = tensors.matrix("model.embed_tokens", vocabulary, hidden);
  const end = ends[0] ?? vocabulary - 1;
  const model: DecoderModel = {
    name: checkpoint.name,
    revision: weights.revision,
    architecture: "jetmoe",
    hidden,
    heads,
    attendsCurrent: true,
    context: config.max_position_embeddings,
    embedding,
    layers,
    norm: tensors.norm("model.norm", hidden),
    head: tensors.has("lm_head.weight") ? tensors.matrix("lm_head", vocabulary, hidden) : embedding,
    marks: { end, system: end, user: end, assistant: end },
    ends,
    chat: await chatOf(checkpoint),
  };
  tensors.finish(/rotary_emb\.inv_freq$/);
  return model;
}

/** The norms of layers have this whatever the config says; the last norm has the config's. */
const layerEpsilon = 1e-6;

function readLayer(
  tensors: StoredTensors,
  config: z.infer<typeof fields>,
  rotary: Rotary,
  number: number,
): DecoderModel["layers"][number] {
  const { hidden_size: hidden, num_key_value_heads: heads, kv_channels: headSize, intermediate_size: inner } = config;
  const { num_local_experts: experts, num_experts_per_tok: top } = config;
  const layer = `model.layers.${number}`;
  const [above, below] = [`${layer}.self_attention`, `${layer}.mlp`];
  const width = heads * headSize;
  const norm = (name: string): Norm => ({ ...tensors.norm(`${layer}.${name}`, hidden), epsilon: layerEpsilon });
  const routing = (place: string): Routing => ({
    kind: "learned",
    router: { output: tensors.matrix(`${place}.router.layer`, experts, hidden) },
    top,
    over: "chosen",
  });
  const [key, value] = tensors.pair(`${above}.kv_proj.weight`, width, hidden);
  const { first, second } = tensors.pairs(`${below}.input_linear.weight`, experts, inner, hidden);
  return {
    attention: {
      norm: norm("input_layernorm"),
      routing: routing(`${above}.experts`),
      query: tensors.matrices(`${above}.experts.input_linear.weight`, experts, width, hidden),
      output: tensors.matrices(`${above}.experts.output_linear.weight`, experts, hidden, width),
      keyValue: { key, value },
      softmax: { keyValueHeads: heads, scale: 1 / Math.sqrt(headSize), rotary },
      bias: tensors.vector(`${above}.experts.bias`, hidden),
    },
    feedforward: {
      norm: norm("post_attention_layernorm"),
      routing: routing(below),
      gate: first,
      input: second,
      output: tensors.matrices(`${below}.output_linear.weight`, experts, hidden, inner),
      bias: tensors.vector(`${below}.bias`, hidden),
    },
  };
}

export const jetMoe: DecoderArchitecture = { kind: "decoder", types: ["jetmoe"], read: readJetMoe };
