// internal: encoderShapes, writeRandomEncoder
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { mulberry32 } from "@tessera/core/internal";
import type { EncoderModel } from "../architectures/encoder.js";
import { type EncoderConfig, encoderModel } from "../architectures/tessera-encoder.js";
import { referenceVectors } from "../engines/reference/engine.js";
import { type Tensor, writeShards } from "../formats/safetensors.js";

/** The sizes that the training issue names, for tests and measurements before a bundle is trained. */
export const encoderShapes = {
  tiny: { vocabulary: 160, hidden: 32, layers: 4, heads: 2, intermediate: 48, exits: [1, 2, 4], widths: [8, 16, 32] },
  small: {
    vocabulary: 16384,
    hidden: 256,
    layers: 6,
    heads: 4,
    intermediate: 704,
    exits: [2, 4, 6],
    widths: [64, 128, 256],
  },
  large: {
    vocabulary: 16384,
    hidden: 384,
    layers: 12,
    heads: 6,
    intermediate: 1024,
    exits: [2, 4, 6, 9, 12],
    widths: [64, 128, 256, 384],
  },
} as const;

interface RandomEncoder {
  readonly shape: keyof typeof encoderShapes;
  readonly seed?: number;
  /** The largest shard in bytes, header included. */
  readonly shard?: number;
  /** A tokenizer.json to copy, which makes the vocabulary 16,384; without one, inputs are ids. */
  readonly tokenizer?: string;
  /** Golden cases; the reference computes them, so few for the larger shapes. */
  readonly golden?: number;
}

/** Matrices and norms of a shape, with numbers drawn at random. */
function randomTensors(
  { hidden, layers, intermediate, exits }: (typeof encoderShapes)[keyof typeof encoderShapes],
  vocabulary: number,
  random: () => number,
): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  const matrix = (name: string, rows: number, columns: number): void => {
    const bytes = new Int8Array(rows * columns);
    const words = new Int32Array(bytes.buffer, 0, Math.floor(bytes.length / 4));
    for (let i = 0; i < words.length; i++) words[i] = random() * 4294967296;
    for (let i = 0; i < bytes.length; i++) if (bytes[i] === -128) bytes[i] = 127;
    // whole numbers uniform in −127 … 127 deviate by 73.3; a row's outputs then deviate by about 1
    const scale = Float32Array.from({ length: rows }, () => (0.5 + random()) / (73.3 * Math.sqrt(columns)));
    tensors.set(name, { shape: [rows, columns], values: bytes });
    tensors.set(`${name}.scale`, { shape: [rows], values: scale });
  };
  const norm = (name: string): void => {
    tensors.set(name, { shape: [hidden], values: Float32Array.from({ length: hidden }, () => 0.8 + 0.4 * random()) });
  };
  matrix("embedding.weight", vocabulary, hidden);
  for (let i = 0; i < layers; i++) {
    norm(`layers.${i}.attention.norm.weight`);
    matrix(`layers.${i}.attention.qkv.weight`, 3 * hidden, hidden);
    matrix(`layers.${i}.attention.output.weight`, hidden, hidden);
    norm(`layers.${i}.feedforward.norm.weight`);
    matrix(`layers.${i}.feedforward.gate_up.weight`, 2 * intermediate, hidden);
    matrix(`layers.${i}.feedforward.down.weight`, hidden, intermediate);
  }
  for (const layer of exits) {
    norm(`exits.${layer}.norm.weight`);
    matrix(`exits.${layer}.projection.weight`, hidden, hidden);
  }
  return tensors;
}

/** An input of random tokens, with the vectors that the reference engine computes for it. */
function goldenCase(model: EncoderModel, i: number, vocabulary: number, random: () => number) {
  const kind = (["query", "code", "text"] as const)[i % 3]!;
  const length = i === 0 ? 2 : 2 + Math.floor(random() * 30);
  const ids = [1, { query: 4, code: 5, text: 6 }[kind]];
  while (ids.length < length) ids.push(128 + Math.floor(random() * (vocabulary - 128)));
  const vectors = [...referenceVectors(model, Int32Array.from(ids))].map(([exit, vector]) => [exit, [...vector]]);
  return { name: `case-${i}`, kind, text: "", ids, vectors: Object.fromEntries(vectors) };
}

/**
 * Writes a whole bundle with random weights into `folder`: it computes, but it has learnt nothing.
 */
export async function writeRandomEncoder(
  folder: string,
  { shape, seed = 1, shard = 15 * 1024 * 1024, golden = 4, tokenizer }: RandomEncoder,
): Promise<void> {
  const { exits } = encoderShapes[shape];
  const vocabulary = tokenizer === undefined ? encoderShapes[shape].vocabulary : encoderShapes.small.vocabulary;
  const random = mulberry32(seed);
  const tensors = randomTensors(encoderShapes[shape], vocabulary, random);
  const last = exits.at(-1)!;
  const config: Omit<EncoderConfig, "widths" | "exits"> & Record<string, unknown> = {
    format: "tessera-bundle",
    formatVersion: 1,
    name: `random-${shape}`,
    architecture: "tessera-encoder",
    ...encoderShapes[shape],
    vocabulary,
    ropeTheta: 10000,
    normEpsilon: 1e-6,
    maxTokens: { query: 64, code: 256, text: 256 },
    specialTokens: { pad: 0, cls: 1, query: 4, code: 5, text: 6 },
    pairs: exits.flatMap((query) => (query === last ? [] : [{ query, index: last }])),
    default: { query: exits[1], index: last },
  };
  const files = new Map<string, Uint8Array>();
  for (const [name, bytes] of writeShards(tensors, shard)) files.set(name, bytes);
  files.set("tokenizer.json", tokenizer === undefined ? Buffer.from("{}\n") : await readFile(tokenizer));
  const model = encoderModel({
    folder,
    name: "random",
    architecture: "tessera-encoder",
    revision: "",
    config,
    tensors,
  });
  const cases = Array.from({ length: golden }, (_, i) => goldenCase(model, i, vocabulary, random));
  files.set("golden.json", Buffer.from(JSON.stringify({ cases })));

  await mkdir(folder, { recursive: true });
  for (const [name, bytes] of files) await writeFile(join(folder, name), bytes);
  const hashes = [...files].map(([name, bytes]) => [name, createHash("sha256").update(bytes).digest("hex")]);
  await writeFile(
    join(folder, "config.json"),
    JSON.stringify({ ...config, files: Object.fromEntries(hashes) }, null, 2),
  );
}
