import { TesseraError } from "@tessera/core";
import type { DecoderModel } from "../architectures/decoder.js";
import type { CacheSize, DecoderBatch } from "./engine.js";

/** Likeliest tokens that can be reported beside the one drawn. */
export const mostAlternatives = 64;

/**
 * What every engine asks of a step before it computes.
 * @throws TesseraError BAD_ARGUMENT
 */
export function checkDecoderBatch(batch: DecoderBatch, model: DecoderModel, cache: CacheSize): void {
  const { ids, offsets, cached, blocks, sampling } = batch;
  const refuse = (message: string): TesseraError => new TesseraError("BAD_ARGUMENT", message, { path: model.name });
  const sequences = offsets.length - 1;
  if (sequences < 0 || offsets[0] !== 0 || offsets.at(-1) !== ids.length)
    throw refuse("offsets must begin with 0 and end with the number of ids");
  if (cached.length !== sequences || blocks.length !== sequences || sampling.length !== sequences)
    throw refuse(`cached, blocks and sampling need one entry for each of ${sequences} sequences`);
  for (let i = 0; i < sequences; i++) {
    const tokens = offsets[i + 1]! - offsets[i]!;
    const end = cached[i]! + tokens;
    if (tokens < 1 || cached[i]! < 0) throw refuse(`sequence ${i} has no new token`);
    if (end > model.context) throw refuse(`sequence ${i} would have ${end} tokens; ${model.context} is the longest`);
    if (blocks[i]!.length * cache.blockTokens < end) throw refuse(`sequence ${i} has too few cache blocks`);
    for (const block of blocks[i]!)
      if (!(block >= 0 && block < cache.blocks)) throw refuse(`there is no block ${block}`);
    const drawn = sampling[i];
    if (drawn === undefined) continue;
    if (!(drawn.temperature >= 0 && drawn.topP > 0 && drawn.topP <= 1 && drawn.random >= 0 && drawn.random < 1))
      throw refuse(`sequence ${i} cannot be drawn at temperature ${drawn.temperature}, top-p ${drawn.topP}`);
    if ((drawn.alternatives ?? 0) > mostAlternatives)
      throw refuse(`at most ${mostAlternatives} alternatives are reported`);
    if (drawn.allowed && !drawn.allowed.some((word) => word !== 0)) throw refuse(`sequence ${i} may draw no token`);
  }
  for (const id of ids)
    if (!(id >= 0 && id < model.embedding.rows)) throw refuse(`token ${id} is outside the vocabulary`);
}
