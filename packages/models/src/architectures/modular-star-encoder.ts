import { TesseraError } from "@tessera/core";
import { z } from "zod";
import { configOf } from "../formats/bundle.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { ModelTensors } from "../formats/model-tensors.js";
import type { EncoderArchitecture } from "./architecture.js";
import type { Block, EncoderModel, ExitHead, Frame, Matrix, Norm } from "./encoder.js";

const size = z.int().positive();
const id = z.int().nonnegative();

const starConfig = z.looseObject({
  hidden_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size,
  intermediate_size: size,
  vocab_size: size,
  norm_epsilon: z.number().positive(),
  // since transformers 5 in a table
  rope_theta: z.number().positive().optional(),
  rope_parameters: z.looseObject({ rope_theta: z.number().positive() }).nullish(),
  max_position_embeddings: size.min(64),
  hidden_act: z.literal("gelu_pytorch_tanh"),
  matryoshka_layers: z.array(size).min(1),
  /** The releases that were cut after one exit say after which. */
  till_layer: size.nullish(),
  // the published config has neither: they stand in the files of the tokenizer
  sep_token_id: id.optional(),
  cls_token_id: id.optional(),
});

/**
 * The ids of the marks around a text: those of the config, else of `<sep>` and `<cls>` in added_tokens.json or tokenizer.json.
 * @throws TesseraError BAD_BUNDLE
 */
async function marksOf(checkpoint: Checkpoint, { sep_token_id: sep, cls_token_id: cls }: z.infer<typeof starConfig>) {
  if (sep !== undefined && cls !== undefined) return { sep, cls };
  const named = new Map<string, number>();
  const beside = z.record(z.string(), id).safeParse(await checkpoint.json("added_tokens.json"));
  for (const [content, number] of Object.entries(beside.data ?? {})) named.set(content, number);
  if (!named.has("<sep>") || !named.has("<cls>")) {
    const { document } = await checkpoint.tokenizer();
    const { added_tokens: added = [] } = (JSON.parse(document) ?? {}) as {
      added_tokens?: { id: number; content: string }[];
    };
    for (const { content, id: number } of added) named.set(content, number);
  }
  const found = { sep: sep ?? named.get("<sep>"), cls: cls ?? named.get("<cls>") };
  if (found.sep === undefined || found.cls === undefined)
    throw new TesseraError("BAD_BUNDLE", "neither the config nor the tokenizer says which tokens <sep> and <cls> are", {
      path: checkpoint.configPath,
    });
  return { sep: found.sep, cls: found.cls };
}

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
      ropeTheta: config.rope_parameters?.rope_theta ?? config.rope_theta!,
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
  const complete = starConfig.refine((fields) => fields.rope_parameters ?? fields.rope_theta, {
    path: ["rope_theta"],
    message: "it is missing",
  });
  const config = configOf(complete, checkpoint.config, checkpoint.configPath);
  const { hidden_size: hidden, num_attention_heads: heads, num_key_value_heads: shared } = config;
  const layers = Math.min(config.num_hidden_layers, config.till_layer ?? Number.POSITIVE_INFINITY);
  const exitLayers = config.matryoshka_layers.filter((layer) => layer <= layers).sort((a, b) => a - b);
  if (hidden % (2 * heads) !== 0 || heads % shared !== 0 || exitLayers.at(-1) !== layers)
    throw new TesseraError("BAD_BUNDLE", "the heads do not divide the width, or the last layer is no exit", {
      path: checkpoint.configPath,
    });

  const { sep, cls } = await marksOf(checkpoint, config);
  const { revision, embedding, blocks, exits } = await starTensors(checkpoint, config, { layers, exitLayers });
  // the exit in the middle is the paper's best, 18 of 36
  const best = exits.find(({ layer }) => 2 * layer === config.num_hidden_layers)?.layer ?? exits.at(-1)!.layer;
  const frame = (instruction: string): Frame => ({
    before: [sep, instruction, sep],
    after: [cls],
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
    default: { query: best, index: best },
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
