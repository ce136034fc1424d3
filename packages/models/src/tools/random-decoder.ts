// internal: decoderShapes, randomDecoder, writeRandomDecoder
import { readFile } from "node:fs/promises";
import { mulberry32 } from "@tessera/core/internal";
import type { DecoderModel } from "../architectures/decoder.js";
import { type DecoderConfig, decoderModel } from "../architectures/tessera-decoder.js";
import type { Tensor } from "../formats/safetensors.js";
import { writeDecoderBundle } from "../formats/write-decoder.js";

const marks = { pad: 0, end: 46, system: 29, user: 30, assistant: 31 };
const shared = { vocabulary: 16384, context: 1536, normEpsilon: 1e-5, tiedEmbedding: true, specialTokens: marks };
const mixture = { ...shared, architecture: "tessera-moe" } as const;
const dense = { ...shared, architecture: "tessera-dense" } as const;

type Shape = DecoderConfig extends infer C ? (C extends unknown ? Omit<C, "name"> : never) : never;

/**
 * The decoders that are trained, and the dense rivals of the large one and of the one over bytes: as many parameters in the
 * body as run for one of its tokens, about twice as many, and about four times.
 */
export const decoderShapes = {
  tiny: {
    ...mixture,
    ...{ vocabulary: 160, hidden: 24, layers: 2, context: 96, gate: 12 },
    attention: { experts: 3, top: 2, size: 16, heads: 2, current: true },
    feedforward: { experts: 5, top: 2, size: 20 },
    specialTokens: { pad: 0, end: 1, system: 2, user: 3, assistant: 4 },
  },
  "tiny-dense": {
    ...dense,
    ...{ vocabulary: 160, hidden: 24, layers: 2, context: 96 },
    attention: { size: 16, heads: 2, current: true },
    feedforward: { size: 40 },
    specialTokens: { pad: 0, end: 1, system: 2, user: 3, assistant: 4 },
  },
  "mixture-small": {
    ...mixture,
    ...{ hidden: 256, layers: 4, gate: 64 },
    attention: { experts: 8, top: 2, size: 128, heads: 4, current: true },
    feedforward: { experts: 16, top: 2, size: 256 },
  },
  mixture: {
    ...mixture,
    ...{ hidden: 512, layers: 6, gate: 128 },
    attention: { experts: 8, top: 2, size: 256, heads: 4, current: true },
    feedforward: { experts: 16, top: 2, size: 256 },
  },
  "dense-active": {
    ...dense,
    ...{ hidden: 512, layers: 6 },
    attention: { size: 512, heads: 8, current: true },
    feedforward: { size: 512 },
  },
  "dense-between": {
    ...dense,
    ...{ hidden: 512, layers: 6 },
    attention: { size: 512, heads: 8, current: true },
    feedforward: { size: 2048 },
  },
  "dense-fourfold": {
    ...dense,
    ...{ hidden: 512, layers: 12 },
    attention: { size: 512, heads: 8, current: true },
    feedforward: { size: 2048 },
  },
  "mixture-bytes": {
    ...mixture,
    ...{ vocabulary: 384, hidden: 192, layers: 4, gate: 48 },
    attention: { experts: 8, top: 2, size: 96, heads: 4, current: true },
    feedforward: { experts: 16, top: 2, size: 192 },
  },
  "dense-bytes-active": {
    ...dense,
    ...{ vocabulary: 384, hidden: 192, layers: 4 },
    attention: { size: 192, heads: 4, current: true },
    feedforward: { size: 320 },
  },
  "dense-bytes-between": {
    ...dense,
    ...{ vocabulary: 384, hidden: 192, layers: 4 },
    attention: { size: 192, heads: 4, current: true },
    feedforward: { size: 1088 },
  },
  "dense-bytes-fourfold": {
    ...dense,
    ...{ vocabulary: 384, hidden: 192, layers: 8 },
    attention: { size: 192, heads: 4, current: true },
    feedforward: { size: 1088 },
  },
} as const satisfies Record<string, Shape>;

interface RandomDecoder {
  readonly shape: keyof typeof decoderShapes;
  readonly seed?: number;
  /** A tokenizer.json to copy, which makes vocabulary and marks those of our own; without one, inputs are ids. */
  readonly tokenizer?: string;
  /** Golden cases; the reference computes them, so few for the larger shapes. */
  readonly golden?: number;
}

/** A decoder with random weights: it computes, but it has learnt nothing. */
export function randomDecoder({ shape, seed = 1 }: Pick<RandomDecoder, "shape" | "seed">): DecoderModel {
  return modelOf(shape, tensorsOf(decoderShapes[shape], seed));
}

const modelOf = (shape: keyof typeof decoderShapes, tensors: ReadonlyMap<string, Tensor>): DecoderModel => {
  const { architecture } = decoderShapes[shape];
  const config = { name: `random-${shape}`, ...decoderShapes[shape] };
  return decoderModel({ folder: "random", name: config.name, architecture, revision: "random", config, tensors });
};

/** The tensors of docs/models/decoder-bundle.md; a matrix keeps the spread of a normed vector. */
function tensorsOf(config: Shape, seed: number): Map<string, Tensor> {
  const random = mulberry32(seed);
  const tensors = new Map<string, Tensor>();
  const matrix = (name: string, ...shape: number[]): void => {
    const values = new Int8Array(new SharedArrayBuffer(shape.reduce((product, size) => product * size, 1)));
    for (let i = 0; i < values.length; i++) values[i] = random() * 255 - 127;
    const scales = new Float32Array(new SharedArrayBuffer((4 * values.length) / shape.at(-1)!));
    // whole numbers uniform in −127 … 127 deviate by 73.3
    for (let i = 0; i < scales.length; i++) scales[i] = (0.5 + random()) / (73.3 * Math.sqrt(shape.at(-1)!));
    tensors.set(name, { shape, values });
    tensors.set(`${name}.scale`, { shape: shape.slice(0, -1), values: scales });
  };
  const vector = (name: string, size: number, middle: number): void => {
    const values = new Float32Array(new SharedArrayBuffer(4 * size));
    for (let i = 0; i < size; i++) values[i] = middle + 0.4 * (random() - 0.5);
    tensors.set(name, { shape: [size], values });
  };
  const norm = (name: string): void => {
    vector(`${name}.weight`, config.hidden, 1);
    vector(`${name}.bias`, config.hidden, 0);
  };
  const { hidden, attention } = config;
  /** Matrices one a module. */
  const modules = (name: string, kind: "attention" | "feedforward", rows: number, columns: number): void => {
    if (config.architecture === "tessera-moe") matrix(name, config[kind].experts as number, rows, columns);
    else matrix(name, rows, columns);
  };
  matrix("embedding.weight", config.vocabulary, hidden);
  for (let layer = 0; layer < config.layers; layer++)
    for (const kind of ["attention", "feedforward"] as const) {
      const place = `layers.${layer}.${kind}`;
      norm(`${place}.norm`);
      if (config.architecture === "tessera-moe") {
        matrix(`${place}.gate.input.weight`, config.gate, hidden);
        vector(`${place}.gate.input.bias`, config.gate, 0);
        matrix(`${place}.gate.output.weight`, config[kind].experts as number, config.gate);
      }
      if (kind === "attention") {
        matrix(`${place}.key_value.weight`, 2 * attention.size, hidden);
        vector(`${place}.key_value.bias`, 2 * attention.size, 0);
      }
      modules(`${place}.${kind === "attention" ? "query" : "input"}.weight`, kind, config[kind].size, hidden);
      modules(`${place}.output.weight`, kind, hidden, config[kind].size);
    }
  norm("norm");
  return tensors;
}

/** Writes a whole bundle with random weights into `folder`, which must not be there. @throws TesseraError CONFLICT */
export async function writeRandomDecoder(
  folder: string,
  { shape, seed = 1, golden = 2, tokenizer }: RandomDecoder,
): Promise<void> {
  const { vocabulary, specialTokens } = shared;
  const spoken = tokenizer !== undefined && { vocabulary, specialTokens };
  const config = { name: `random-${shape}`, ...decoderShapes[shape], ...spoken };
  const random = mulberry32(seed + 1);
  const cases = Array.from({ length: golden }, (_, number) => ({
    name: `case-${number}`,
    ids: Array.from({ length: 2 + 4 * number }, () => Math.floor(random() * config.vocabulary)),
  }));
  const others = new Map(tokenizer === undefined ? [] : [["tokenizer.json", await readFile(tokenizer)] as const]);
  await writeDecoderBundle(folder, { config, tensors: tensorsOf(config, seed), cases, others });
}
