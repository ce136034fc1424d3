import type { DecoderModel } from "../../architectures/decoder.js";
import type { EncoderModel } from "../../architectures/encoder.js";
import type { CacheSize, DecoderBatch, DecoderResult, Ragged } from "../engine.js";
import type { DeviceInfo } from "./device.js";
import type { MarginPolicy } from "./encoder.js";
import type { Measurement } from "./measure.js";

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
