import { TesseraError } from "@tessera/core";
import { z } from "zod";
import { configOf } from "../formats/bundle.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { StoredTensors } from "../formats/stored-weights.js";
import type {
  AttentionModules,
  ChatTemplate,
  DecoderModel,
  FeedforwardModules,
  Multipliers,
  Rotary,
  Routing,
  Weight,
} from "./decoder.js";
import { RotaryError, rotaryFields, rotaryOf } from "./rotary.js";

const size = z.int().positive();
const natural = z.int().nonnegative();
const factor = z.number().positive();
const ids = z.union([natural, z.array(natural).min(1)]);

/** The fields that all decoders of softmax attention with rotation, RMS norms and gated feedforwards share. */
const fields = z.looseObject({
  vocab_size: size,
  hidden_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  intermediate_size: size.nullish(),
  rms_norm_eps: factor,
  hidden_act: z.enum(["silu", "swish"], "read are silu and swish").default("silu"),
  tie_word_embeddings: z.boolean().nullish(),
  eos_token_id: ids.nullish(),
  sliding_window: natural.nullish(),
  use_sliding_window: z.boolean().nullish(),
  embedding_multiplier: factor.nullish(),
  attention_multiplier: factor.nullish(),
  residual_multiplier: factor.nullish(),
  logits_scaling: factor.nullish(),
  num_experts: size.nullish(),
  num_local_experts: size.nullish(),
  num_experts_per_tok: size.nullish(),
  moe_intermediate_size: size.nullish(),
  shared_expert_intermediate_size: size.nullish(),
  shared_intermediate_size: natural.nullish(),
  norm_topk_prob: z.boolean().nullish(),
  clip_qkv: z.null().optional(),
  ...rotaryFields,
});
type SoftmaxConfig = z.infer<typeof fields>;

/** What a family adds to the parts that all share. */
interface Family {
  /** What the softmax of a router runs over: all experts, or those chosen. */
  readonly over?: ((config: SoftmaxConfig) => "all" | "chosen") | undefined;
}

/** Sizes and parts of one checkpoint while its layers are read. */
interface Reading {
  readonly config: SoftmaxConfig;
  readonly tensors: StoredTensors;
  readonly headSize: number;
  readonly keyValueHeads: number;
  readonly rotary: Rotary;
  readonly family: Family;
}

/**
 * A decoder with the tensors of Llama: grouped-query attention with rotation, RMS norms, feedforwards gated by silu, or
 * experts of them. Biases, norms of queries and keys, a head of its own and shared experts are there where the file has
 * their tensors. docs/models/llama.md has the formulas.
 * @throws TesseraError BAD_BUNDLE with the file, and the field or the tensor
 */
export async function readSoftmaxDecoder(checkpoint: Checkpoint, family: Family): Promise<DecoderModel> {
  const config = configOf(fields, checkpoint.config, checkpoint.configPath);
  const refuse = (message: string): TesseraError =>
    new TesseraError("BAD_BUNDLE", message, { path: checkpoint.configPath });
  const { hidden_size: hidden, num_attention_heads: heads, vocab_size: vocabulary } = config;
  const keyValueHeads = config.num_key_value_heads ?? heads;
  if (heads % keyValueHeads !== 0)
    throw refuse(`${heads} heads cannot share ${keyValueHeads} heads of keys and values evenly`);
  const headSize = config.head_dim ?? hidden / heads;
  if (!Number.isInteger(headSize))
    throw refuse(`${heads} heads do not divide hidden_size ${hidden}, and head_dim is absent`);
  const rotary = rotation(config, headSize, refuse);
  if (!checkpoint.stored) throw refuse("weights of this format cannot be read in place");
  const ends = await endsOf(checkpoint, config);
  const outside = ends.find((id) => id >= vocabulary);
  if (outside !== undefined) throw refuse(`eos_token_id ${outside} is outside the vocabulary of ${vocabulary}`);

  const weights = await checkpoint.stored();
  const tensors = new StoredTensors(weights, config.rms_norm_eps);
  const reading: Reading = { config, tensors, headSize, keyValueHeads, rotary, family };
  const embedding = tensors.matrix("model.embed_tokens", vocabulary, hidden);
  const tied = config.tie_word_embeddings === true || !tensors.has("lm_head.weight");
  const layers = Array.from({ length: config.num_hidden_layers }, (_, i) => ({
    attention: readAttention(reading, `model.layers.${i}`),
    feedforward: readFeedforward(reading, `model.layers.${i}`),
  }));
  const end = ends[0] ?? vocabulary - 1;
  const model: DecoderModel = {
    name: checkpoint.name,
    revision: weights.revision,
    architecture: checkpoint.type ?? "llama",
    hidden,
    heads,
    attendsCurrent: true,
    context: contextOf(config),
    embedding,
    layers,
    norm: tensors.norm("model.norm", hidden),
    head: tied ? embedding : tensors.matrix("lm_head", vocabulary, hidden),
    multipliers: multipliersOf(config),
    marks: { end, system: end, user: end, assistant: end },
    ends,
    chat: await chatOf(checkpoint),
  };
  tensors.finish(/rotary_emb\.inv_freq$|^rope_freqs\.weight$|^lm_head\.weight$/);
  return model;
}

function rotation(config: SoftmaxConfig, headSize: number, refuse: (message: string) => TesseraError): Rotary {
  try {
    return rotaryOf(config, headSize);
  } catch (error) {
    throw error instanceof RotaryError ? refuse(error.message) : error;
  }
}

/** A window that slides is not computed: within its length the model is the same with and without it. */
function contextOf({ max_position_embeddings: longest, sliding_window, use_sliding_window }: SoftmaxConfig): number {
  return sliding_window && use_sliding_window !== false ? Math.min(longest, sliding_window) : longest;
}

function multipliersOf(config: SoftmaxConfig): Multipliers | undefined {
  const { embedding_multiplier: embedding, residual_multiplier: residual, logits_scaling: divisor } = config;
  if (!embedding && !residual && !divisor) return undefined;
  return { embedding: embedding ?? 1, residual: residual ?? 1, logits: 1 / (divisor ?? 1) };
}

function readAttention({ config, tensors, headSize, keyValueHeads, rotary }: Reading, layer: string): AttentionModules {
  const { hidden_size: hidden, num_attention_heads: heads } = config;
  const part = `${layer}.self_attn`;
  // norms of a head's size count for each head, others for the whole projection
  const norm = (name: string) => {
    const place = `${part}.${name}`;
    if (!tensors.has(`${place}.weight`)) return undefined;
    return tensors.norm(place, tensors.anyVector(`${place}.weight`).length);
  };
  const { bias, ...output } = tensors.matrix(`${part}.o_proj`, hidden, heads * headSize);
  return {
    norm: tensors.norm(`${layer}.input_layernorm`, hidden),
    routing: { kind: "none" },
    query: [tensors.matrix(`${part}.q_proj`, heads * headSize, hidden)],
    output: [output],
    keyValue: {
      key: tensors.matrix(`${part}.k_proj`, keyValueHeads * headSize, hidden),
      value: tensors.matrix(`${part}.v_proj`, keyValueHeads * headSize, hidden),
    },
    softmax: {
      keyValueHeads,
      scale: config.attention_multiplier ?? 1 / Math.sqrt(headSize),
      rotary,
      queryNorm: norm("q_norm"),
      keyNorm: norm("k_norm"),
    },
    bias,
  };
}

/** The places where families keep a router. */
const routers = ["mlp.gate", "block_sparse_moe.gate", "block_sparse_moe.router.layer"];

function readFeedforward(reading: Reading, layer: string): FeedforwardModules {
  const { config, tensors } = reading;
  const norm = tensors.norm(`${layer}.post_attention_layernorm`, config.hidden_size);
  const router = routers.find((name) => tensors.has(`${layer}.${name}.weight`));
  if (router !== undefined) return { norm, ...readExperts(reading, layer, router), shared: readShared(reading, layer) };
  const inner = config.intermediate_size;
  if (!inner) throw tensors.bad(`${layer}.mlp`, "the config has no intermediate_size");
  const { bias, ...output } = tensors.matrix(`${layer}.mlp.down_proj`, config.hidden_size, inner);
  return {
    norm,
    routing: { kind: "none" },
    gate: [tensors.matrix(`${layer}.mlp.gate_proj`, inner, config.hidden_size)],
    input: [tensors.matrix(`${layer}.mlp.up_proj`, inner, config.hidden_size)],
    output: [output],
    bias,
  };
}

/** Experts as families store them: one by one under two sets of names, or all in two tensors, the gates before the inputs. */
function readExperts(
  { config, tensors, family }: Reading,
  layer: string,
  router: string,
): Required<Pick<FeedforwardModules, "routing" | "gate" | "input" | "output">> {
  const { hidden_size: hidden, num_experts_per_tok: top } = config;
  const count = config.num_experts ?? config.num_local_experts;
  const inner = config.moe_intermediate_size ?? config.intermediate_size;
  if (!count || !top || !inner || !family.over)
    throw tensors.bad(`${layer}.${router}`, "the config says nothing of experts, or not how many, which or how large");
  if (top > count) throw tensors.bad(`${layer}.${router}`, `${top} of ${count} experts cannot be chosen`);
  const routing: Routing = {
    kind: "learned",
    router: { output: tensors.matrix(`${layer}.${router}`, count, hidden) },
    top,
    over: family.over(config),
  };
  const sparse = `${layer}.block_sparse_moe`;
  if (tensors.has(`${sparse}.input_linear.weight`)) {
    const { first, second } = tensors.pairs(`${sparse}.input_linear.weight`, count, inner, hidden);
    const output = tensors.matrices(`${sparse}.output_linear.weight`, count, hidden, inner);
    return { routing, gate: first, input: second, output };
  }
  const names = tensors.has(`${sparse}.experts.0.w1.weight`)
    ? { place: `${sparse}.experts`, gate: "w1", input: "w3", output: "w2" }
    : { place: `${layer}.mlp.experts`, gate: "gate_proj", input: "up_proj", output: "down_proj" };
  const each = (name: string, rows: number, columns: number): Weight[] =>
    Array.from({ length: count }, (_, j) => tensors.matrix(`${names.place}.${j}.${name}`, rows, columns));
  return {
    routing,
    gate: each(names.gate, inner, hidden),
    input: each(names.input, inner, hidden),
    output: each(names.output, hidden, inner),
  };
}

function readShared({ config, tensors }: Reading, layer: string): FeedforwardModules["shared"] {
  const { hidden_size: hidden } = config;
  const place = `${layer}.mlp.shared_expert`;
  if (tensors.has(`${place}.gate_proj.weight`)) {
    const inner = config.shared_expert_intermediate_size;
    if (!inner) throw tensors.bad(place, "the config has no shared_expert_intermediate_size");
    return {
      gate: tensors.matrix(`${place}.gate_proj`, inner, hidden),
      input: tensors.matrix(`${place}.up_proj`, inner, hidden),
      output: tensors.matrix(`${place}.down_proj`, hidden, inner),
      weight: tensors.matrix(`${layer}.mlp.shared_expert_gate`, 1, hidden),
    };
  }
  const fused = `${layer}.shared_mlp.input_linear.weight`;
  const inner = config.shared_intermediate_size;
  if (!tensors.has(fused) || !inner) return undefined;
  const [gate, input] = tensors.pair(fused, inner, hidden);
  return { gate, input, output: tensors.matrix(`${layer}.shared_mlp.output_linear`, hidden, inner) };
}

/** The ids that end an answer: those of generation_config.json where there is one, else of config.json. */
export async function endsOf(checkpoint: Checkpoint, config: { eos_token_id?: unknown }): Promise<number[]> {
  const generation = z
    .looseObject({ eos_token_id: ids.nullish() })
    .safeParse(await checkpoint.json("generation_config.json"));
  const own = ids.safeParse(config.eos_token_id);
  return [(generation.success ? generation.data.eos_token_id : undefined) ?? (own.success ? own.data : [])].flat();
}

const token = z.union([z.string(), z.looseObject({ content: z.string() })]);
const tokenizerConfig = z.looseObject({
  chat_template: z.union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() }))]).nullish(),
});

/** The chat template of tokenizer_config.json, and the special tokens that it may name. */
export async function chatOf(checkpoint: Checkpoint): Promise<ChatTemplate | undefined> {
  const document = await checkpoint.json("tokenizer_config.json");
  const parsed = tokenizerConfig.safeParse(document);
  if (!parsed.success) return undefined;
  const { chat_template: found } = parsed.data;
  const template = Array.isArray(found) ? found.find(({ name }) => name === "default")?.template : found;
  if (!template) return undefined;
  const tokens: Record<string, string> = {};
  for (const [key, value] of Object.entries(parsed.data)) {
    const text = key.endsWith("_token") ? token.safeParse(value) : undefined;
    if (text?.success) tokens[key] = typeof text.data === "string" ? text.data : text.data.content;
  }
  return { template, tokens };
}
