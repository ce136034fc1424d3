// internal
// What the benches and tests of this repository use beside the public names. It may change at any time.
export * from "./architectures/decoder.js";
export * from "./architectures/encoder.js";
export * from "./engines/cpu-encoder/graph-of-encoder.js";
export * from "./engines/engine.js";
export * from "./engines/gpu/engine.js";
export * from "./engines/gpu/launch.js";
export * from "./engines/gpu/self-test.js";
export * from "./engines/reference/decoder.js";
export * from "./engines/reference/engine.js";
export * from "./formats/open-model.js";
export * from "./formats/safetensors.js";
export * from "./serving/encoder-service.js";
export * from "./tokenizer/threads.js";
export * from "./tokenizer/tokenizer.js";
export * from "./tools/random-decoder.js";
export * from "./tools/random-encoder.js";
