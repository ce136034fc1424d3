import type { DecoderArchitecture } from "./architecture.js";
import { readSoftmaxDecoder } from "./softmax-decoder.js";

/** Mixtures whose router takes the softmax over those chosen: Mixtral, GraniteMoE with and without a shared expert. */
export const mixtral: DecoderArchitecture = {
  kind: "decoder",
  types: ["mixtral", "granitemoe", "granitemoeshared"],
  read: (checkpoint) => readSoftmaxDecoder(checkpoint, { over: () => "chosen" }),
};

/** Mixtures whose router takes the softmax over all, and renormalises where the config says so: OLMoE, Qwen2-MoE, Qwen3-MoE. */
export const olmoe: DecoderArchitecture = {
  kind: "decoder",
  types: ["olmoe", "qwen2_moe", "qwen3_moe"],
  read: (checkpoint) =>
    readSoftmaxDecoder(checkpoint, { over: ({ norm_topk_prob }) => (norm_topk_prob ? "chosen" : "all") }),
};
