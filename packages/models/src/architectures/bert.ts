import { z } from "zod";
import { configOf } from "../formats/bundle.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { ModelTensors } from "../formats/model-tensors.js";
import { type SentenceSettings, sentenceSettings } from "../formats/sentence-transformers.js";
import type { EncoderArchitecture } from "./architecture.js";
import type { Activation, Block, EncoderModel, Matrix, Norm } from "./encoder.js";

const size = z.int().positive();

/** The names of transformers for what we compute. */
const activationNames: Readonly<Record<string, Activation>> = {
  gelu: "gelu",
  gelu_python: "gelu",
  gelu_new: "gelu-tanh",
  gelu_pytorch_tanh: "gelu-tanh",
  gelu_fast: "gelu-tanh",
  silu: "silu",
  swish: "silu",
  relu: "relu",
};
export const activation = z
  .enum(Object.keys(activationNames) as [string, ...string[]])
  .transform((name) => activationNames[name]!);

export const bertConfig = z
  .looseObject({
    vocab_size: size,
    hidden_size: size,
    num_hidden_layers: size,
    num_attention_heads: size,
    intermediate_size: size,
    max_position_embeddings: size.min(3),
    type_vocab_size: size,
    layer_norm_eps: z.number().positive(),
    hidden_act: activation,
    position_embedding_type: z.literal("absolute").nullish(),
    is_decoder: z.literal(false).nullish(),
  })
  .refine((config) => config.hidden_size % config.num_attention_heads === 0, {
    path: ["num_attention_heads"],
    message: "the heads do not divide the width",
  });
type BertConfig = z.infer<typeof bertConfig>;

/** Parts of published BERT files that no vector depends on. */
const passedOver =
  /(?:^|\.)(?:pooler\.dense\.(?:weight|bias)|embeddings\.position_ids|cls\.(?:predictions|seq_relationship)\..*)$/;

/**
 * BERT as transformers publishes it (MiniLM, bge, e5, gte and their kin): learned positions, post-norm, exact GELU. Token
 * type 0 is added into the positions, since every text is of one type. Every layer is an exit.
 */
async function readBert(checkpoint: Checkpoint): Promise<EncoderModel> {
  const config = configOf(bertConfig, checkpoint.config, checkpoint.configPath);
  const sentences = await sentenceSettings(checkpoint, config.max_position_embeddings);
  const weights = await checkpoint.weights();
  const tensors = new ModelTensors(weights, config.layer_norm_eps);
  const body = [...weights.tensors.keys()].some((name) => name.startsWith("bert.")) ? "bert." : "";
  const trunk = bertTrunk(tensors, config, body);
  tensors.assertAllTaken(passedOver);
  return {
    name: checkpoint.name,
    revision: weights.revision,
    architecture: "bert",
    ...trunk,
    ...exitsAndFrames(sentences, config.num_hidden_layers, config.hidden_size),
  };
}

/** The tensors of a BERT body whose names begin with `prefix`. */
export function bertTrunk(tensors: ModelTensors, config: BertConfig, prefix: string) {
  const { hidden_size: hidden, intermediate_size: inner } = config;
  const matrix = (name: string, rows: number, columns: number): Matrix => ({
    ...tensors.singleMatrix(`${prefix}${name}.weight`, rows, columns),
    bias: tensors.single(`${prefix}${name}.bias`, [rows]),
  });
  // older files call a norm's weight and bias gamma and beta
  const norm = (name: string): Norm => {
    const [weight, bias] = tensors.has(`${prefix}${name}.gamma`) ? ["gamma", "beta"] : ["weight", "bias"];
    return {
      kind: "layer",
      epsilon: config.layer_norm_eps,
      weight: tensors.single(`${prefix}${name}.${weight}`, [hidden]),
      bias: tensors.single(`${prefix}${name}.${bias}`, [hidden]),
    };
  };
  const embedding = tensors.singleMatrix(`${prefix}embeddings.word_embeddings.weight`, config.vocab_size, hidden);
  const places = config.max_position_embeddings;
  const positions = tensors.single(`${prefix}embeddings.position_embeddings.weight`, [places, hidden]);
  const types = tensors.single(`${prefix}embeddings.token_type_embeddings.weight`, [config.type_vocab_size, hidden]);
  const blocks = Array.from({ length: config.num_hidden_layers }, (_, i): Block => {
    const layer = `encoder.layer.${i}`;
    return {
      attentionNorm: norm(`${layer}.attention.output.LayerNorm`),
      query: matrix(`${layer}.attention.self.query`, hidden, hidden),
      key: matrix(`${layer}.attention.self.key`, hidden, hidden),
      value: matrix(`${layer}.attention.self.value`, hidden, hidden),
      output: matrix(`${layer}.attention.output.dense`, hidden, hidden),
      feedforwardNorm: norm(`${layer}.output.LayerNorm`),
      up: matrix(`${layer}.intermediate.dense`, inner, hidden),
      down: matrix(`${layer}.output.dense`, hidden, inner),
      activation: config.hidden_act,
    };
  });
  return {
    hidden,
    heads: config.num_attention_heads,
    keyValueHeads: config.num_attention_heads,
    normPlace: "after" as const,
    embedding,
    positions: { rows: places, columns: hidden, values: positions.map((value, i) => value + types[i % hidden]!) },
    embeddingNorm: norm("embeddings.LayerNorm"),
    blocks,
  };
}

/** What the files of sentence-transformers say, for a body each of whose layers is an exit. */
export function exitsAndFrames(sentences: SentenceSettings, layers: number, hidden: number) {
  const exits = Array.from({ length: layers }, (_, i) => ({ layer: i + 1 }));
  return {
    pooling: sentences.pooling,
    exits,
    widths: [hidden],
    frames: sentences.frames,
    pairs: exits.map(({ layer }) => ({ query: layer, index: layer })),
    default: { query: layers, index: layers },
  };
}

export const bert: EncoderArchitecture = { kind: "encoder", types: ["bert"], read: readBert };
