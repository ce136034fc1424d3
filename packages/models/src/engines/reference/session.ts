import { TesseraError } from "@tessera/core";
import type { DecoderModel } from "../../architectures/decoder.js";
import { drawToken } from "../../decoding/draw.js";
import { checkDecoderBatch } from "../decoder-batch.js";
import type { CacheSize, DecoderBatch, DecoderResult, DecoderSession } from "../engine.js";
import { logSoftmax, readSequence } from "./decoder.js";

/** What a place of the cache holds before a token was written there. */
const nothing = -1;

/**
 * The oracle as a session: a place of the cache holds the token itself, and each step reads the whole sequence again. What
 * blocks are shared, freed too early or given twice shows as in an engine that keeps keys and values.
 */
export class ReferenceDecoder implements DecoderSession {
  readonly blocks: number;
  readonly blockTokens: number;
  private readonly tokens: Int32Array;
  private closed = false;

  constructor(
    private readonly model: DecoderModel,
    cache: CacheSize,
  ) {
    this.blocks = cache.blocks;
    this.blockTokens = cache.blockTokens;
    if (!Number.isSafeInteger(this.blocks) || this.blocks < 1 || !(this.blockTokens >= 1))
      throw this.error("BAD_ARGUMENT", `${this.blocks} blocks of ${this.blockTokens} tokens are no cache`);
    this.tokens = new Int32Array(this.blocks * this.blockTokens).fill(nothing);
  }

  async step(batch: DecoderBatch, signal?: AbortSignal): Promise<DecoderResult> {
    checkDecoderBatch(batch, this.model, this);
    const { cached, sampling, scored, counted } = batch;
    const next = new Int32Array(cached.length).fill(-1);
    const logprob = new Float32Array(cached.length);
    const alternatives: ({ id: number; logprob: number }[] | undefined)[] = [];
    const scores: (Float32Array | undefined)[] = [];
    const count = (kind: "attention" | "feedforward"): Uint32Array[] =>
      this.model.layers.map((layer) => new Uint32Array(layer[kind].output.length));
    const modules = counted ? { attention: count("attention"), feedforward: count("feedforward") } : undefined;
    for (let i = 0; i < cached.length; i++) {
      if (this.closed) throw this.error("CLOSED", "the decoder is closed");
      if (signal?.aborted) throw this.error("ABORTED", "the step was aborted", signal.reason);
      const ids = this.append(batch, i);
      const draw = sampling[i];
      if (draw || scored?.[i] || modules) {
        const { logits, attention, feedforward } = readSequence(this.model, ids);
        for (const [kind, chosen] of Object.entries({ attention, feedforward }))
          for (const layers of chosen.slice(cached[i]))
            for (const [layer, some] of layers.entries())
              for (const module of some) if (modules) modules[kind as keyof typeof modules][layer]![module]! += 1;
        if (draw) {
          const { drawn, alternatives: others } = drawToken(logits.at(-1)!, draw);
          next[i] = drawn.id;
          logprob[i] = drawn.logprob;
          if (draw.alternatives) alternatives[i] = [...others];
        }
        if (scored?.[i])
          scores[i] = Float32Array.from(
            ids.subarray(cached[i]! + 1),
            (id, t) => logSoftmax(logits[cached[i]! + t]!)[id]!,
          );
      }
      // other work of the thread comes between sequences
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { next, logprob, alternatives, scores, modules };
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  /** Writes the new tokens of sequence i into its blocks, and reads the whole of it back. */
  private append({ ids, offsets, cached, blocks }: DecoderBatch, i: number): Int32Array {
    const place = (t: number): number =>
      blocks[i]![Math.floor(t / this.blockTokens)]! * this.blockTokens + (t % this.blockTokens);
    const length = cached[i]! + offsets[i + 1]! - offsets[i]!;
    for (let t = cached[i]!; t < length; t++) this.tokens[place(t)] = ids[offsets[i]! + t - cached[i]!]!;
    const whole = Int32Array.from({ length }, (_, t) => this.tokens[place(t)]!);
    if (whole.includes(nothing)) throw this.error("BAD_ARGUMENT", `sequence ${i} reads cache that was never written`);
    return whole;
  }

  private error(code: "BAD_ARGUMENT" | "CLOSED" | "ABORTED", message: string, cause?: unknown): TesseraError {
    return new TesseraError(code, message, { path: this.model.name, cause });
  }
}
