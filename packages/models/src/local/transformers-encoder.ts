// public: openTransformersEncoder
// internal: TransformersFolder
import { type Encoder, TesseraError } from "@tessera/core";
import { type Frame, unit } from "../architectures/encoder.js";
import { sentenceSettings } from "../formats/sentence-transformers.js";
import { type LocalEncoder, oneSpace } from "./one-space.js";
import type { TransformersFolder } from "./settings.js";
import { openTransformers } from "./transformers-js.js";

export type { TransformersFolder } from "./settings.js";

type Kind = Parameters<Encoder["encode"]>[1]["kind"];

/** Texts that are computed together. */
const batch = 16;

/**
 * Opens a folder with transformers.js (@huggingface/transformers, which has to be installed) as an encoder. Pooling, lengths
 * and prompts are those of the sentence-transformers files beside the weights. Vectors have unit length; a text that is too
 * long loses its end.
 * @throws TesseraError BAD_BUNDLE; BAD_ARGUMENT; DEPENDENCY_MISSING without @huggingface/transformers
 */
export async function openTransformersEncoder(settings: TransformersFolder): Promise<LocalEncoder> {
  const opened = await openTransformers(settings, ({ AutoModel }) => AutoModel);
  const { name, revision, checkpoint, tokenizer } = opened;
  const { hidden_size: width } = checkpoint.config;
  if (typeof width !== "number")
    throw new TesseraError("BAD_BUNDLE", "the config has no hidden_size", { path: checkpoint.configPath });
  const { pooling, frames } = await sentenceSettings(checkpoint, opened.positions);
  const { space, assertWhole } = oneSpace(name, revision, width);
  // marks of such frames are ids
  const idsOf = (text: string, { prompt = "", before, after, maxTokens }: Frame): number[] => [
    ...(before as readonly number[]),
    ...tokenizer.encode(prompt + text, maxTokens - before.length - after.length),
    ...(after as readonly number[]),
  ];

  async function encodeBatch(texts: readonly string[], kind: Kind): Promise<Float32Array[]> {
    const rows = texts.map((text) => ({ ids: idsOf(text, frames[kind]) }));
    const { last_hidden_state: states } = await opened.run(rows);
    if (!states)
      throw new TesseraError("BAD_BUNDLE", "the model gives no last_hidden_state, which is pooled", { path: name });
    const length = states.dims[1]!;
    return rows.map(({ ids }, row) => {
      const [first, last] = pooling === "first" ? [0, 1] : [pooling === "last" ? ids.length - 1 : 0, ids.length];
      const sum = new Float32Array(width as number);
      for (let place = first; place < last; place++)
        for (let i = 0; i < sum.length; i++) sum[i]! += states.data[(row * length + place) * sum.length + i]!;
      return unit(sum);
    });
  }

  return {
    name,
    width,
    revision,
    space,
    async encode(texts, { kind, ...embedding }, signal) {
      assertWhole(embedding);
      // texts of like length share a batch, so that little is padded
      const order = [...texts.keys()].sort((a, b) => texts[a]!.length - texts[b]!.length);
      const vectors = new Array<Float32Array>(texts.length);
      for (let from = 0; from < order.length; from += batch) {
        signal?.throwIfAborted();
        const some = order.slice(from, from + batch);
        const found = await encodeBatch(
          some.map((index) => texts[index]!),
          kind,
        );
        for (const [at, index] of some.entries()) vectors[index] = found[at]!;
      }
      return vectors;
    },
    close: opened.close,
  };
}
