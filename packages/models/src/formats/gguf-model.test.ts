import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { TesseraError } from "@tessera/core";
import { complete } from "@tessera/core/internal";
import { decoderFolder, goldenLogits } from "../architectures/llama.fixture.js";
import { cpuEngine } from "../engines/cpu.js";
import { logSoftmax, readSequence } from "../engines/reference/decoder.js";
import { openLocalLanguageModel } from "../serving/language-model.js";
import { singles, type WrittenTensor, writeGguf } from "./gguf.fixture.js";
import { openDecoderModel } from "./open-model.js";
import { readSafetensors } from "./safetensors.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-gguf-model-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

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

/** A tiny checkpoint as a GGUF file, with whatever metadata. */
async function gguf(family: string, metadata: Record<string, never> | object, turns: boolean): Promise<Buffer> {
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

const llama = {
  "general.architecture": "llama",
  "llama.block_count": 2,
  "llama.context_length": 128,
  "llama.embedding_length": 32,
  "llama.feed_forward_length": 40,
  "llama.attention.head_count": 4,
  "llama.attention.head_count_kv": 2,
  "llama.attention.layer_norm_rms_epsilon": 1e-5,
  "llama.rope.freq_base": { u32: 10000 },
};
const alphabet = [..."abcdefghijklmnopqrstuvwxyzĠĊ.,!?"];
const tokens = [
  "<end>",
  "<s>",
  ...alphabet,
  ...Array.from({ length: 64 - 2 - alphabet.length }, (_, i) => `<unused${i}>`),
];
const spoken = {
  ...llama,
  "tokenizer.ggml.model": "gpt2",
  "tokenizer.ggml.pre": "smollm",
  "tokenizer.ggml.tokens": tokens,
  "tokenizer.ggml.token_type": tokens.map((token) => (token.length > 1 ? 3 : 1)),
  "tokenizer.ggml.merges": [],
  "tokenizer.ggml.eos_token_id": { u32: 0 },
  "tokenizer.chat_template": "{% for m in messages %}<s>{{ m.content }}{% endfor %}<s>",
};

const largest = (found: readonly Float32Array[], expected: readonly Float32Array[]): number =>
  Math.max(...found.flatMap((row, t) => Array.from(row, (value, i) => Math.abs(value - expected[t]![i]!))));

describe("a model in a GGUF file", () => {
  it("has the logits of the checkpoint that it was made of, with heads interleaved", async () => {
    const path = join(folder, "llama.gguf");
    await writeFile(path, await gguf("llama", llama, true));
    const golden = await goldenLogits("llama");
    expect(largest(readSequence(await openDecoderModel(path), golden.ids).logits, golden.logits)).toBeLessThan(1e-4);
  });

  it("has the logits of a mixture, whose experts lie in one tensor", async () => {
    const path = join(folder, "olmoe.gguf");
    const metadata = Object.fromEntries(
      Object.entries(llama).map(([key, value]) => [key.replace("llama.", "olmoe."), value]),
    );
    const mixture = { "olmoe.expert_count": 5, "olmoe.expert_used_count": 2, "olmoe.rope.freq_base": { u32: 1000 } };
    await writeFile(path, await gguf("olmoe", { ...metadata, ...mixture, "general.architecture": "olmoe" }, false));
    const golden = await goldenLogits("olmoe");
    expect(largest(readSequence(await openDecoderModel(path), golden.ids).logits, golden.logits)).toBeLessThan(1e-4);
  });

  it("says which architectures are read", async () => {
    const path = join(folder, "other.gguf");
    await writeFile(path, writeGguf({ "general.architecture": "mamba" }, {}));
    const error = await openDecoderModel(path).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(TesseraError);
    expect((error as TesseraError).message).toContain('model_type "mamba" is not read; read are ');
  });

  it("answers by the chat template of its file, and a mark that a user writes stays text", async () => {
    const path = join(folder, "spoken.gguf");
    await writeFile(path, await gguf("llama", spoken, true));
    const model = await openLocalLanguageModel(path, cpuEngine({ workers: 1 }), { blocks: 8, blockTokens: 16 });
    try {
      const usage = async (content: string): Promise<number> => {
        const { usage } = await complete(model, { messages: [{ role: "user", content }], maxTokens: 2 });
        return usage!.prompt;
      };
      expect(await usage("abc")).toBe(5);
      // < and > are no tokens of this vocabulary: what is left of "<end>" are its three letters
      expect(await usage("abc<end>")).toBe(8);

      // without the template the texts stand as they are
      const request = { messages: [{ role: "user" as const, content: "abc" }], text: "de" };
      const plain = await model.score!({ ...request, plain: true });
      expect(plain.usage).toEqual({ prompt: 3, completion: 2 });
      expect((await model.score!(request)).usage).toEqual({ prompt: 5, completion: 2 });
      const ids = [..."abcde"].map((letter) => tokens.indexOf(letter));
      const { logits } = readSequence(await openDecoderModel(path), ids);
      for (const [i, { logprob }] of plain.tokens.entries())
        expect(Math.abs(logprob - logSoftmax(logits[2 + i]!)[ids[3 + i]!]!)).toBeLessThan(0.05);
    } finally {
      await model.close();
    }
  });
});
