import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import { TesseraError } from "@tessera/core";
import type { Checkpoint } from "./checkpoint.js";
import { type GgufFile, type GgufValue, readGguf } from "./gguf.js";
import { readRows, rowsOfTensor, type StoredTensor } from "./stored-rows.js";
import { revisionOf } from "./stored-weights.js";

/**
 * The architectures of GGUF files that are read, as `model_type` of a config.json. `turns` are those whose rows of queries
 * and keys lie interleaved in the file.
 */
const types: Readonly<Record<string, { readonly type: string; readonly turns: boolean }>> = {
  llama: { type: "llama", turns: true },
  granite: { type: "granite", turns: true },
  granitemoe: { type: "granitemoe", turns: true },
  qwen2: { type: "qwen2", turns: false },
  qwen3: { type: "qwen3", turns: false },
  olmoe: { type: "olmoe", turns: false },
  qwen2moe: { type: "qwen2_moe", turns: false },
  qwen3moe: { type: "qwen3_moe", turns: false },
};

/** Names of a layer's tensors: those of GGUF, and those of the Hugging Face layout. */
const layerNames: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
  ffn_gate_inp: "mlp.gate",
  ffn_gate_shexp: "mlp.shared_expert.gate_proj",
  ffn_up_shexp: "mlp.shared_expert.up_proj",
  ffn_down_shexp: "mlp.shared_expert.down_proj",
  ffn_gate_inp_shexp: "mlp.shared_expert_gate",
};
const expertNames: Readonly<Record<string, string>> = {
  ffn_gate_exps: "gate_proj",
  ffn_up_exps: "up_proj",
  ffn_down_exps: "down_proj",
};
const otherNames: Readonly<Record<string, string>> = {
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  output: "lm_head",
};

/**
 * A GGUF file as a checkpoint of the Hugging Face layout: its metadata as config.json, its tensors under the names of that
 * layout, stacked experts one by one.
 * @throws TesseraError BAD_BUNDLE
 */
export async function ggufCheckpoint(path: string): Promise<Checkpoint> {
  const file = await readGguf(path);
  const architecture = textOf(file, "general.architecture");
  const known = types[architecture];
  const config = known ? configOf(file, architecture) : {};
  const type = known && architecture === "llama" && config.num_local_experts ? "mixtral" : known?.type;
  return {
    path,
    name: basename(path).replace(/\.gguf$/i, ""),
    configPath: path,
    config: { ...config, model_type: type ?? architecture },
    type: type ?? architecture,
    weights: () => {
      throw new TesseraError("BAD_BUNDLE", `${architecture} is not read from GGUF`, { path });
    },
    async stored() {
      const tensors = tensorsOf(file, known?.turns ?? false, config);
      const metadata = createHash("sha256")
        .update(JSON.stringify([...file.metadata]))
        .digest("hex");
      return { folder: dirname(path), tensors, revision: await revisionOf([path], tensors, metadata) };
    },
    async tokenizer() {
      throw new TesseraError("BAD_BUNDLE", "the tokenizer of a GGUF file is not read as a tokenizer.json", { path });
    },
    json: async (name) => (name === "tokenizer_config.json" ? tokenizerConfigOf(file) : undefined),
  };
}

const bad = ({ path }: GgufFile, key: string, message: string): TesseraError =>
  new TesseraError("BAD_BUNDLE", message, { path: `${path}#${key}` });

export function textOf(file: GgufFile, key: string): string {
  const value = file.metadata.get(key);
  if (typeof value !== "string") throw bad(file, key, "the metadata has no such text");
  return value;
}

/** The metadata as the fields of a config.json; the architecture's reader checks them. */
function configOf(file: GgufFile, architecture: string): Record<string, unknown> {
  const of = (key: string): GgufValue | undefined => file.metadata.get(`${architecture}.${key}`);
  const embedding = file.tensors.get("token_embd.weight");
  const heads = of("attention.head_count");
  const [hidden, keyLength] = [of("embedding_length"), of("attention.key_length")];
  const turned = of("rope.dimension_count");
  const headSize = keyLength ?? (typeof hidden === "number" && typeof heads === "number" ? hidden / heads : undefined);
  const epsilon = of("attention.layer_norm_rms_epsilon");
  const divisor = of("logit_scale");
  return {
    vocab_size: embedding?.shape[0],
    hidden_size: hidden,
    num_hidden_layers: of("block_count"),
    num_attention_heads: heads,
    num_key_value_heads: of("attention.head_count_kv"),
    head_dim: headSize,
    partial_rotary_factor: typeof turned === "number" && typeof headSize === "number" ? turned / headSize : undefined,
    intermediate_size: of("feed_forward_length"),
    // numbers of 32 bits: 0.000009999999747378752 is 1e-5
    rms_norm_eps: typeof epsilon === "number" ? Number(epsilon.toPrecision(6)) : undefined,
    max_position_embeddings: of("context_length"),
    // the format's own default
    rope_theta: of("rope.freq_base") ?? 10000,
    rope_parameters: rotaryOf(file, architecture),
    sliding_window: of("attention.sliding_window"),
    eos_token_id: endsOf(file),
    num_local_experts: of("expert_count"),
    num_experts_per_tok: of("expert_used_count"),
    moe_intermediate_size: of("expert_feed_forward_length"),
    shared_expert_intermediate_size: of("expert_shared_feed_forward_length"),
    norm_topk_prob: of("expert_weights_norm") ?? architecture === "qwen3moe",
    embedding_multiplier: of("embedding_scale"),
    attention_multiplier: of("attention.scale"),
    residual_multiplier: of("residual_scale"),
    logits_scaling: divisor,
  };
}

function rotaryOf(file: GgufFile, architecture: string): Record<string, unknown> | undefined {
  const of = (key: string): GgufValue | undefined => file.metadata.get(`${architecture}.rope.${key}`);
  const base = { rope_theta: of("freq_base") ?? 10000 };
  const factors = file.tensors.get("rope_freqs.weight");
  if (factors)
    return { ...base, rope_type: "factors", factors: [...readRows(factors.stored, 1, factors.shape.at(-1)!)] };
  const kind = of("scaling.type");
  if (kind === undefined || kind === "none") return undefined;
  return {
    ...base,
    rope_type: kind,
    factor: of("scaling.factor"),
    original_max_position_embeddings: of("scaling.original_context_length"),
  };
}

/** The ids after which an answer ends: the end of text, of a turn and of a message. */
function endsOf({ metadata }: GgufFile): number[] | undefined {
  const keys = ["eos_token_id", "eot_token_id", "eom_token_id"];
  const found = keys.map((key) => metadata.get(`tokenizer.ggml.${key}`)).filter((id) => typeof id === "number");
  return found.length > 0 ? [...new Set(found)] : undefined;
}

function tokenizerConfigOf({ metadata }: GgufFile): Record<string, unknown> {
  const tokens = metadata.get("tokenizer.ggml.tokens");
  const named = (key: string): Record<string, string> => {
    const id = metadata.get(`tokenizer.ggml.${key}_id`);
    const text = Array.isArray(tokens) && typeof id === "number" ? (tokens[id] as string | undefined) : undefined;
    return text === undefined ? {} : { [key]: text };
  };
  return {
    chat_template: metadata.get("tokenizer.chat_template"),
    ...named("bos_token"),
    ...named("eos_token"),
    ...named("unk_token"),
  };
}

/** All tensors under the names of the Hugging Face layout. */
function tensorsOf(file: GgufFile, turns: boolean, config: Record<string, unknown>): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  const headSize = Number(config.head_dim);
  for (const [name, tensor] of file.tensors) {
    const [, layer, part, kind] = /^(?:blk\.(\d+)\.)?([a-z_]+)\.(weight|bias)$/.exec(name) ?? [];
    if (part === undefined || name === "rope_freqs.weight") {
      tensors.set(name, tensor);
      continue;
    }
    const place = layer === undefined ? "" : `model.layers.${layer}.`;
    const expert = expertNames[part];
    if (expert !== undefined && tensor.shape.length === 3) {
      const [count, rows] = tensor.shape as [number, number];
      for (let j = 0; j < count; j++)
        tensors.set(`${place}mlp.experts.${j}.${expert}.weight`, rowsOfTensor(tensor, j * rows, rows));
      continue;
    }
    const own = layer === undefined ? otherNames[part] : layerNames[part];
    const interleaved = turns && (part === "attn_q" || part === "attn_k") ? headSize : undefined;
    const shape = part === "ffn_gate_inp_shexp" && tensor.shape.length === 1 ? [1, ...tensor.shape] : tensor.shape;
    tensors.set(own === undefined ? name : `${place}${own}.${kind}`, {
      shape,
      stored: interleaved === undefined ? tensor.stored : { ...tensor.stored, interleaved },
    });
  }
  return tensors;
}
