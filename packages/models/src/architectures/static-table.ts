import { TesseraError } from "@tessera/core";
import { z } from "zod";
import type { Checkpoint } from "../formats/checkpoint.js";
import type { EncoderArchitecture } from "./architecture.js";
import type { EncoderModel, Frame, Matrix } from "./encoder.js";

const longest = 8192;
const vocabulary = z.looseObject({
  model: z.looseObject({
    unk_token: z.string().nullish(),
    unk_id: z.int().nonnegative().nullish(),
    vocab: z.union([z.record(z.string(), z.int().nonnegative()), z.array(z.tuple([z.string(), z.number()]))]),
  }),
  added_tokens: z.array(z.looseObject({ id: z.int().nonnegative(), content: z.string() })).default([]),
});

/**
 * A table of vectors, one a token (model2vec, and tables under the name of wordllama): a text's vector is the mean of its tokens'
 * rows, without the token that stands for the unknown. No layer runs: the one exit is 0.
 */
async function readStaticTable(checkpoint: Checkpoint): Promise<EncoderModel> {
  const { document, path } = await checkpoint.tokenizer();
  const { unknown, last } = vocabularyOf(document, path);
  const weights = await checkpoint.weights();
  const bad = (name: string, message: string): TesseraError =>
    new TesseraError("BAD_BUNDLE", message, { path: `${weights.folder}#${name}` });
  const name = ["embeddings", "embedding.weight"].find((one) => weights.tensors.has(one));
  if (name === undefined) throw bad("embeddings", "the tensor is missing");
  const { shape, values } = weights.tensors.get(name)!;
  const [rows, width] = shape as [number, number];
  if (shape.length !== 2 || !(values instanceof Float32Array) || !values.every(Number.isFinite))
    throw bad(name, "the table must be a matrix of finite floating point");
  if (rows <= last)
    throw bad(name, `there are ${rows} rows for ${last + 1} tokens: a table with a mapping is not read`);
  const factors = weights.tensors.get("weights")?.values;
  if (factors && factors.length !== rows)
    throw bad("weights", `there are ${factors.length} weights for ${rows} tokens`);
  const table = new Float32Array(rows * width);
  for (let id = 0; id < rows; id++) {
    // a row of zeros turns no mean
    if (id === unknown) continue;
    const factor = factors ? factors[id]! : 1;
    for (let i = id * width; i < (id + 1) * width; i++) table[i] = values[i]! * factor;
  }
  // so that a text without tokens has one
  const before = unknown === undefined ? [] : [unknown];
  const frame: Frame = { before, after: [], maxTokens: longest };
  const matrix: Matrix = { rows, columns: width, values: table };
  return {
    name: checkpoint.name,
    revision: weights.revision,
    architecture: "static-table",
    hidden: width,
    heads: 1,
    keyValueHeads: 1,
    normPlace: "before",
    pooling: "mean",
    embedding: matrix,
    bag: [matrix],
    blocks: [],
    exits: [{ layer: 0 }],
    widths: [width],
    frames: { query: frame, code: frame, text: frame },
    pairs: [{ query: 0, index: 0 }],
    default: { query: 0, index: 0 },
  };
}

/** The id of the token that stands for what the tokenizer does not know, and the largest id. */
function vocabularyOf(document: string, path: string): { unknown: number | undefined; last: number } {
  const parsed = vocabulary.safeParse(JSON.parse(document));
  if (!parsed.success) throw new TesseraError("BAD_BUNDLE", z.prettifyError(parsed.error), { path });
  const { model, added_tokens: added } = parsed.data;
  const { unk_token: token, unk_id: id, vocab } = model;
  const ids = Array.isArray(vocab) ? vocab.map((_, at) => at) : Object.values(vocab);
  const last = [...ids, ...added.map((one) => one.id)].reduce((most, one) => Math.max(most, one), 0);
  const named = added.find(({ content }) => content === token)?.id;
  const inTable = Array.isArray(vocab) || !token ? undefined : vocab[token];
  return { unknown: id ?? named ?? inTable, last };
}

export const staticTable: EncoderArchitecture = {
  kind: "encoder",
  types: ["model2vec", "wordllama"],
  // model2vec since 0.8 names no type
  recognises: (config) => config.model_type === undefined && typeof config.embedding_dtype === "string",
  read: readStaticTable,
};
