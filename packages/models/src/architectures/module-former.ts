import { z } from "zod";
import { configOf } from "../formats/bundle.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { ModelTensors } from "../formats/model-tensors.js";
import type { DecoderArchitecture } from "./architecture.js";
import type { DecoderModel, Routing } from "./decoder.js";
import type { Matrix, Norm } from "./encoder.js";

const size = z.int().positive();

const molmConfig = z
  .looseObject({
    model_type: z.literal("moduleformer"),
    vocab_size: size,
    n_embd: size,
    n_layer: size,
    n_head: z.literal(1),
    att_hidden: size,
    n_att_experts: size,
    k_att: size,
    ffd_hidden: size,
    n_mlp_experts: size,
    k_mlp: size,
    gating_size: size,
    gate_type: z.literal("mlp").default("mlp"),
    activation_function: z.literal("gelu_new").default("gelu_new"),
    block_size: size,
    history_length: z.int().nonnegative().default(0),
    layer_norm_epsilon: z.number().positive().default(1e-5),
    eos_token_id: z.int().nonnegative().nullish(),
  })
  .superRefine((config, context) => {
    const refuse = (path: string, message: string): void => context.addIssue({ code: "custom", path: [path], message });
    if (config.att_hidden !== config.n_embd)
      refuse("att_hidden", "keys and values are the input itself, so att_hidden must be n_embd");
    if (config.k_att > config.n_att_experts) refuse("k_att", "more modules are chosen than there are");
    if (config.k_mlp > config.n_mlp_experts) refuse("k_mlp", "more modules are chosen than there are");
    if ((config.eos_token_id ?? 0) >= config.vocab_size) refuse("eos_token_id", "the id is outside the vocabulary");
  });

/**
 * A checkpoint in the layout of MoLM-350M-4B, -700M-4B and -700M-8B (ModuleFormer, arXiv 2306.04640) as safetensors, in
 * fp32, fp16 or bf16. Experts lie as [experts, in, out]; keys and values are the normed input itself; the head is a matrix
 * of its own. The buffers `attn.mask` and `attn.cum_weight` are passed over. These are base models without roles: every
 * mark is the end of text, by default the last id.
 * @throws TesseraError BAD_BUNDLE with the file and the tensor
 */
async function readModuleFormer(checkpoint: Checkpoint): Promise<DecoderModel> {
  const config = configOf(molmConfig, checkpoint.config, checkpoint.configPath);
  const { n_embd: hidden, gating_size: gate, vocab_size: vocabulary } = config;

  const weights = await checkpoint.weights();
  const tensors = new ModelTensors(weights, config.layer_norm_epsilon);
  const experts = (name: string, count: number, inputs: number, outputs: number): Matrix[] => {
    const values = tensors.single(name, [count, inputs, outputs]);
    return Array.from({ length: count }, (_, e) =>
      transposed(values.subarray(e * inputs * outputs, (e + 1) * inputs * outputs), inputs, outputs),
    );
  };
  const norm = (name: string): Norm => tensors.norm("layer", name, hidden);
  const routing = (name: string, count: number, top: number): Routing => ({
    kind: "learned",
    router: {
      input: {
        ...tensors.singleMatrix(`${name}.gate.w_gate.0.weight`, gate, hidden),
        bias: tensors.single(`${name}.gate.w_gate.0.bias`, [gate]),
      },
      output: tensors.singleMatrix(`${name}.gate.w_gate.3.weight`, count, gate),
    },
    top,
  });

  const layers = Array.from({ length: config.n_layer }, (_, i) => {
    const layer = `transformer.h.${i}`;
    const [attention, feedforward] = [`${layer}.attn.q_proj`, `${layer}.mlpf`];
    return {
      attention: {
        norm: norm(`${layer}.ln_1`),
        routing: routing(attention, config.n_att_experts, config.k_att),
        query: experts(`${attention}.experts.weight`, config.n_att_experts, hidden, hidden),
        output: experts(`${attention}.output_experts.weight`, config.n_att_experts, hidden, hidden),
      },
      feedforward: {
        norm: norm(`${layer}.ln_2`),
        routing: routing(feedforward, config.n_mlp_experts, config.k_mlp),
        input: experts(`${feedforward}.experts.weight`, config.n_mlp_experts, hidden, config.ffd_hidden),
        output: experts(`${feedforward}.output_experts.weight`, config.n_mlp_experts, config.ffd_hidden, hidden),
      },
    };
  });
  const end = config.eos_token_id ?? vocabulary - 1;
  const model: DecoderModel = {
    name: checkpoint.name,
    revision: weights.revision,
    architecture: "moduleformer",
    hidden,
    heads: 1,
    attendsCurrent: true,
    context: config.block_size + config.history_length,
    embedding: tensors.singleMatrix("transformer.wte.weight", vocabulary, hidden),
    layers,
    norm: norm("transformer.ln_f"),
    head: tensors.singleMatrix("lm_head.weight", vocabulary, hidden),
    marks: { end, system: end, user: end, assistant: end },
  };
  tensors.assertAllTaken(/\.attn\.(?:mask|cum_weight)$/);
  return model;
}

export const moduleFormer: DecoderArchitecture = { kind: "decoder", types: ["moduleformer"], read: readModuleFormer };

/** [in, out] as out × in. */
function transposed(values: Float32Array, inputs: number, outputs: number): Matrix {
  const turned = new Float32Array(values.length);
  for (let i = 0; i < inputs; i++) for (let o = 0; o < outputs; o++) turned[o * inputs + i] = values[i * outputs + o]!;
  return { rows: outputs, columns: inputs, values: turned };
}
