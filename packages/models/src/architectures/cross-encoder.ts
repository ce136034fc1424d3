// internal: openCrossEncoder
import { type Reranker, TesseraError } from "@tessera/core";
import { cpuEngine } from "../engines/cpu.js";
import { type Engine, ragged } from "../engines/engine.js";
import { configOf } from "../formats/bundle.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { ModelTensors } from "../formats/model-tensors.js";
import { openCheckpoint } from "../formats/open-model.js";
import { pairOf, pairTemplate } from "../formats/pair-template.js";
import { parseTokenizer } from "../tokenizer/tokenizer.js";
import { bertConfig, bertTrunk } from "./bert.js";
import { applied, type EncoderModel, type Matrix } from "./encoder.js";

/** A trunk that reads two texts as one sequence, and the head that scores its first state. */
interface CrossEncoderModel {
  readonly trunk: EncoderModel;
  /** The first state is bent by tanh(dense) before the classes are read off it. */
  readonly dense: Matrix;
  /** 1 or 2 × hidden */
  readonly classes: Matrix;
  /** Added to the id of a token of the second segment. */
  readonly second: number;
}

/**
 * BERT with a head of classes, as rerankers are published (ms-marco-MiniLM and their kin). Tokens of the second text have token
 * type 1: the trunk's table holds every word twice, the second time with what the type adds.
 * @throws TesseraError BAD_BUNDLE; MISSING_CAPABILITY for another architecture
 */
async function readCrossEncoder(checkpoint: Checkpoint): Promise<CrossEncoderModel> {
  if (checkpoint.type !== "bert")
    throw new TesseraError(
      "MISSING_CAPABILITY",
      `a cross-encoder of model_type ${checkpoint.type} is not read; read is bert`,
      {
        path: checkpoint.configPath,
        hint: "transformers.js:<folder> computes others",
      },
    );
  const config = configOf(bertConfig, checkpoint.config, checkpoint.configPath);
  const { hidden_size: hidden, vocab_size: words, num_hidden_layers: layer } = config;
  const weights = await checkpoint.weights();
  const tensors = new ModelTensors(weights, config.layer_norm_eps);
  const head = weights.tensors.get("classifier.weight");
  const count = head?.shape[0];
  if (count !== 1 && count !== 2)
    throw tensors.bad(
      "classifier.weight",
      head ? `a reranker has one class or two, this model ${count}` : "the tensor is missing: this is no cross-encoder",
    );
  const biased = (name: string, rows: number): Matrix => ({
    ...tensors.singleMatrix(`${name}.weight`, rows, hidden),
    bias: tensors.single(`${name}.bias`, [rows]),
  });
  const trunk = bertTrunk(tensors, config, "bert.");
  const types = tensors.single("bert.embeddings.token_type_embeddings.weight", [config.type_vocab_size, hidden]);
  const dense = biased("bert.pooler.dense", hidden);
  const classes = biased("classifier", count);
  tensors.assertAllTaken(/embeddings\.position_ids$/);
  const table = new Float32Array(2 * words * hidden);
  const first = trunk.embedding.values;
  table.set(first);
  // type 0 is in the positions already
  for (let i = 0; i < first.length; i++)
    table[words * hidden + i] =
      first[i]! + (config.type_vocab_size > 1 ? types[hidden + (i % hidden)]! - types[i % hidden]! : 0);
  const frame = { before: [], after: [], maxTokens: config.max_position_embeddings };
  return {
    trunk: {
      name: checkpoint.name,
      revision: weights.revision,
      architecture: "bert-cross-encoder",
      ...trunk,
      embedding: { rows: 2 * words, columns: hidden, values: table },
      pooling: "first",
      lengths: "kept",
      exits: [{ layer }],
      widths: [hidden],
      frames: { query: frame, code: frame, text: frame },
      pairs: [{ query: layer, index: layer }],
      default: { query: layer, index: layer },
    },
    dense,
    classes,
    second: words,
  };
}

/** Pairs that go to the engine together. */
const batch = 32;

/**
 * The cross-encoder in a folder, BERT with a head of one class, or of two of which the second is "relevant". The score is the
 * logit, or the difference of the two.
 * @throws TesseraError BAD_BUNDLE; MISSING_CAPABILITY; DEPENDENCY_MISSING where the engine cannot run
 */
export async function openCrossEncoder(
  folder: string,
  engine: Engine = cpuEngine(),
): Promise<Reranker & { readonly name: string; close(): Promise<void> }> {
  const checkpoint = await openCheckpoint(folder);
  const { trunk, dense, classes, second } = await readCrossEncoder(checkpoint);
  const { document, path } = await checkpoint.tokenizer();
  const template = pairTemplate({ document, path });
  const tokenizer = parseTokenizer(document, path);
  const session = await engine.loadEncoder(trunk);
  const [exit] = session.exits as [number];
  const longest = trunk.frames.text.maxTokens;
  const { kind, dtype } = engine.info;
  return {
    name: trunk.name,
    revision: `${trunk.revision}-${kind}-${dtype}`,
    async rank(query, texts, signal) {
      const asked = tokenizer.encode(query, longest);
      const scores: number[] = [];
      for (let from = 0; from < texts.length; from += batch) {
        signal?.throwIfAborted();
        const rows = texts.slice(from, from + batch).map((text) => {
          const { ids, types } = pairOf(template, asked, tokenizer.encode(text, longest), longest);
          return ids.map((id, place) => (types[place] === 1 ? id + second : id));
        });
        const states = await session.encode(ragged(rows), exit, signal);
        for (let row = 0; row < rows.length; row++) {
          const state = states.subarray(row * trunk.hidden, (row + 1) * trunk.hidden);
          const logits = applied(classes, classes.values, applied(dense, dense.values, state).map(Math.tanh));
          scores.push(logits.length === 1 ? logits[0]! : logits[1]! - logits[0]!);
        }
      }
      return scores;
    },
    close: () => session.close(),
  };
}
