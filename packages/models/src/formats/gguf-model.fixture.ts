import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { decoderFolder } from "../architectures/llama.fixture.js";
import { singles, type WrittenTensor, writeGguf } from "./gguf.fixture.js";
import { readSafetensors } from "./safetensors.js";

const names: Readonly<Record<string, string>> = {
  "model.embed_tokens": "token_embd",
  "model.norm": "output_norm",
  lm_head: "output",
  input_layernorm: "attn_norm",
  post_attention_layernorm: "ffn_norm",
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
  "self_attn.q_norm": "attn_q_norm",
  "self_attn.k_norm": "attn_k_norm",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
  "mlp.gate": "ffn_gate_inp",
};

/** The rows of each head as llama.cpp's converter puts them: the two halves in turn. */
function interleaved(values: Float32Array, rows: number, head: number): Float32Array {
  const width = values.length / rows;
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const [first, i] = [Math.floor(row / head) * head, row % head];
    const to = first + (i < head / 2 ? 2 * i : 2 * (i - head / 2) + 1);
    out.set(values.subarray(row * width, (row + 1) * width), to * width);
  }
  return out;
}

/** A tiny checkpoint as a GGUF file, with whatever metadata; `turns` where rows of queries and keys lie interleaved. */
export async function ggufOf(
  family: string,
  metadata: Record<string, never> | object,
  turns: boolean,
): Promise<Buffer> {
  const source = decoderFolder(family);
  const config = JSON.parse(await readFile(join(source, "config.json"), "utf8"));
  const path = join(source, "model.safetensors");
  const written: Record<string, WrittenTensor> = {};
  const experts = new Map<string, Float32Array[]>();
  for (const [name, { shape, values }] of readSafetensors(await readFile(path), path)) {
    const numbers = values as Float32Array;
    const [, layer, rest] = /^(?:model\.layers\.(\d+)\.)?(.+)\.weight$/.exec(name)!;
    const place = layer === undefined ? "" : `blk.${layer}.`;
    const expert = /^mlp\.experts\.(\d+)\.(gate|up|down)_proj$/.exec(rest!);
    if (expert) {
      const list = experts.get(`${place}ffn_${expert[2]}_exps`) ?? [];
      list[Number(expert[1])] = numbers;
      experts.set(`${place}ffn_${expert[2]}_exps`, list);
      written[`${place}ffn_${expert[2]}_exps.weight`] = singles([0, ...shape], numbers);
      continue;
    }
    const own = `${place}${names[rest!]!}.weight`;
    const head = config.head_dim ?? config.hidden_size / config.num_attention_heads;
    written[own] = singles(shape, turns && /attn_[qk]\./.test(own) ? interleaved(numbers, shape[0]!, head) : numbers);
  }
  for (const [name, list] of experts) {
    const all = list.flatMap((values) => [...values]);
    written[`${name}.weight`] = singles([list.length, ...written[`${name}.weight`]!.shape.slice(1)], all);
  }
  return writeGguf(metadata as never, written);
}

/** Metadata of the family "llama". */
export const llama = {
  "general.architecture": "llama",
  "llama.block_count": 2,
  "llama.context_length": 128,
  "llama.embedding_length": 32,
  "llama.feed_forward_length": 40,
  "llama.attention.head_count": 4,
  "llama.attention.head_count_kv": 2,
  "llama.attention.layer_norm_rms_epsilon": 1e-5,
  "llama.rope.freq_base": { f32: 10000 },
};
const alphabet = [..."abcdefghijklmnopqrstuvwxyzĠĊ.,!?"];
/** The tokens of `spoken`: two marks, letters, and marks that nothing spells. */
export const tokens = [
  "<end>",
  "<s>",
  ...alphabet,
  ...Array.from({ length: 64 - 2 - alphabet.length }, (_, i) => `<unused${i}>`),
];
/** The same with a tokenizer of letters and a chat template. */
export const spoken = {
  ...llama,
  "tokenizer.ggml.model": "gpt2",
  "tokenizer.ggml.pre": "smollm",
  "tokenizer.ggml.tokens": tokens,
  "tokenizer.ggml.token_type": tokens.map((token) => (token.length > 1 ? 3 : 1)),
  "tokenizer.ggml.merges": [],
  "tokenizer.ggml.eos_token_id": 0,
  "tokenizer.ggml.bos_token_id": 1,
  "tokenizer.chat_template": "{% for m in messages %}<s>{{ m.content }}{% endfor %}<s>",
};
