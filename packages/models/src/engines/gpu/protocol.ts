import type { DecoderModel } from "../../architectures/decoder.js";
import type { EncoderModel } from "../../architectures/encoder.js";
import type { CacheSize, DecoderBatch, DecoderResult, Ragged } from "../engine.js";
import type { MatrixUnits } from "./kernels/matmul-units.js";

// The types that the public face of the engine leads to stand here: they name nothing of WebGPU, whose types an application
// does not have.

/** What an open device is. */
export interface DeviceInfo {
  readonly device: string;
  /** Computed by the processor: for tests, never chosen by itself. */
  readonly software: boolean;
  readonly features: readonly string[];
  /** What its matrix units multiply, where it has some that the kernels can use. */
  readonly units: MatrixUnits | undefined;
}

/** How a text may leave early: at a checkpoint whose vector has a cosine of at least 1 − margin with the one before. */
export interface MarginPolicy {
  readonly margin: number;
  /** Layers of exits, rising; what has not left leaves at the last. */
  readonly layers: readonly number[];
}

/** A bare measurement on the device, outside any model. */
export type Measurement =
  /** x [rows, inputs] times W [outputs, inputs], `repeats` times in one command list. */
  | {
      readonly kind: "product";
      readonly rows: number;
      readonly inputs: number;
      readonly outputs: number;
      readonly repeats: number;
      /** false: the plain twin, where the device has matrix units. */
      readonly units?: boolean | undefined;
    }
  /** `count` small kernels, each of which reads what the one before wrote, and 4 bytes read back. */
  | { readonly kind: "dispatches"; readonly count: number };

/** What the engine asks of its process, with the type of each answer. */
export interface Requests {
  open: { ask: { memory: number; half: boolean; units: boolean }; answer: DeviceInfo & { dtype: "fp32" | "fp16" } };
  encoder: { ask: { session: number; model: EncoderModel }; answer: undefined };
  encode: { ask: { session: number; batch: Ragged; exit: number }; answer: Float32Array };
  margin: {
    ask: { session: number; batch: Ragged; policy: MarginPolicy };
    answer: { vectors: Float32Array; exits: Uint8Array };
  };
  decoder: { ask: { session: number; model: DecoderModel; cache: CacheSize }; answer: undefined };
  step: { ask: { session: number; batch: DecoderBatch }; answer: DecoderResult };
  release: { ask: { session: number }; answer: undefined };
  /** Bytes in buffers now. */
  memory: { ask: Record<never, never>; answer: number };
  measure: { ask: { what: Measurement }; answer: number };
}

export type Request = {
  [K in keyof Requests]: { readonly number: number; readonly kind: K } & Requests[K]["ask"];
}[keyof Requests];
export type Reply =
  | { readonly number: number; readonly answer: unknown }
  | { readonly number: number; readonly error: { code: string; message: string; hint?: string | undefined } };
