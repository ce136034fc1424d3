import type { EncoderModel } from "../architectures/encoder.js";
import type { Precision } from "./cpu-encoder/exit-graph.js";

/** What a worker thread is started with. The weights lie in memory that the threads share. */
export interface WorkerSettings {
  readonly model: EncoderModel;
  readonly precision: Precision;
  readonly gate: Int32Array<SharedArrayBuffer>;
}

/**
 * Two cells that a worker and its owner share. The worker sets `busy` while native code runs; the owner sets `stop`,
 * after which no native code begins. A thread that is stopped inside onnxruntime aborts the whole process, so the
 * owner waits until it is out.
 */
export const gateCells = { busy: 0, stop: 1 } as const;

/** Texts of equal length for one run; `ids` is [texts, length]. The answer is [texts, hidden], unit vectors. */
export interface Job {
  readonly ids: Int32Array;
  readonly texts: number;
  readonly length: number;
  readonly exit: number;
}
