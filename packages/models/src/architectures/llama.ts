import type { DecoderArchitecture } from "./architecture.js";
import { readSoftmaxDecoder } from "./softmax-decoder.js";

/** Llama and those with its tensors: SmolLM2, Mistral, Qwen2 and 2.5, Qwen3, Granite. */
export const llama: DecoderArchitecture = {
  kind: "decoder",
  types: ["llama", "mistral", "qwen2", "qwen3", "granite"],
  read: (checkpoint) => readSoftmaxDecoder(checkpoint, {}),
};
