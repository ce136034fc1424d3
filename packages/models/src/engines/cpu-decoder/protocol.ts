import type { DecoderModel } from "../../architectures/decoder.js";
import type { CacheSize, DecoderBatch, DecoderResult } from "../engine.js";
import type { PackedModel, Precision } from "./packed.js";
import type { TeamCells } from "./team.js";
import type { SharedMemory } from "./wasm.js";

/** What a thread is started with. */
export interface ThreadSettings {
  readonly memory: SharedMemory;
  readonly packed: PackedModel;
  readonly thread: number;
  /** One cell that the owner sets to 1: the step that runs then ends between two layers. */
  readonly stop: Int32Array<SharedArrayBuffer>;
  /** Where threads that compute a step together meet. */
  readonly cells: TeamCells;
  /** For the first thread, which packs the weights. */
  readonly source?: { readonly model: DecoderModel; readonly cache: CacheSize; readonly precision: Precision };
}

/** A part of a step, or a whole one that the first `team` threads compute together. */
export interface Job {
  readonly batch: DecoderBatch;
  readonly team?: number | undefined;
}

/** What a part comes to; "stopped" where the owner said so. */
export type Answer = DecoderResult | "stopped";
