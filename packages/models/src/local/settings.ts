// Apart from the libraries: the public types lead here, and an application may have neither library.

/** A GGUF file that llama.cpp computes. */
export interface LlamaCppFile {
  /** The path of the GGUF file. */
  readonly file: string;
  /**
   * Threads that compute. By default all processors but one: the threads of llama.cpp wait for each other without rest, so
   * that one which must share its processor slows all of them down.
   */
  readonly threads?: number | undefined;
}

/** A folder whose model transformers.js computes with ONNX Runtime. */
export interface TransformersFolder {
  /** The folder with config.json, tokenizer.json and onnx/model.onnx, or what else `dtype` names. */
  readonly folder: string;
  /** Which file of weights: "fp32" is onnx/model.onnx, "q8" onnx/model_quantized.onnx, and so on; by default the first of these two that is there. */
  readonly dtype?: "fp32" | "fp16" | "q8" | "q4" | undefined;
  /** Threads that compute; all processors by default. */
  readonly threads?: number | undefined;
}
