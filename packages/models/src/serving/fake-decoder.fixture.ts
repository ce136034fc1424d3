import { FakeClock } from "@tessera/testkit";
import type { DecoderBatch, DecoderResult, DecoderSession } from "../engines/engine.js";

const mix = (hash: number, token: number): number => Math.imul(hash ^ (token + 0x9e3779b9), 0x01000193) ^ (hash >>> 13);

/** The token that follows a sequence: it depends on every token and on their order. */
const following = (hash: number): number => (hash >>> 8) % 997;

/** What the fake says after a prompt, one sequence at a time and without a cache. */
export function spoken(prompt: readonly number[], tokens: number): number[] {
  let hash = 1;
  for (const token of prompt) hash = mix(hash, token);
  const said: number[] = [];
  while (said.length < tokens) {
    const next = following(hash);
    said.push(next);
    hash = mix(hash, next);
  }
  return said;
}

/**
 * A decoder without a model. In each place of its cache stands the hash of the sequence up to there, so a block that is
 * given to two sequences, freed too early or shared wrongly changes what is said.
 */
export class FakeDecoder implements DecoderSession {
  private readonly states: Int32Array;
  readonly batches: { readonly tokens: number; readonly sequences: number }[] = [];
  /** Called before each step; what it throws fails the step, after the cache was spoilt. */
  before: ((batch: DecoderBatch) => void | Promise<void>) | undefined;
  recording = true;

  constructor(
    readonly blocks: number,
    readonly blockTokens: number,
    private readonly clock = new FakeClock(),
  ) {
    this.states = new Int32Array(blocks * blockTokens);
  }

  async step(batch: DecoderBatch): Promise<DecoderResult> {
    if (this.before) {
      try {
        await this.before(batch);
      } catch (error) {
        this.states.fill(7);
        throw error;
      }
    }
    const { ids, offsets, cached, blocks, sampling } = batch;
    const next = new Int32Array(cached.length).fill(-1);
    for (let i = 0; i < cached.length; i++) {
      const table = blocks[i]!;
      const place = (token: number): number =>
        table[Math.floor(token / this.blockTokens)]! * this.blockTokens + (token % this.blockTokens);
      let at = cached[i]!;
      let hash = at === 0 ? 1 : this.states[place(at - 1)]!;
      for (let t = offsets[i]!; t < offsets[i + 1]!; t++, at++) {
        hash = mix(hash, ids[t]!);
        this.states[place(at)] = hash;
      }
      if (sampling[i]) next[i] = following(hash);
    }
    if (this.recording) this.batches.push({ tokens: ids.length, sequences: cached.length });
    this.clock.advance(1 + ids.length / 100);
    return { next, logprob: new Float32Array(cached.length) };
  }

  async close(): Promise<void> {}
}
