import type { DecoderModel, EncoderModel, Matrix, Norm, Routing } from "@tessera/models/internal";

let state = 1;
/** Each model begins anew, so that every process has the same one. */
const seed = (): void => {
  state = 1;
};

/** Seeded int8 weights whose outputs deviate by about 1. */
function matrix(rows: number, columns: number): Matrix {
  const words = new Int32Array(Math.ceil((rows * columns) / 4));
  for (let i = 0; i < words.length; i++) {
    // xorshift32 (Marsaglia 2003)
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  const scale = new Float32Array(rows).fill(1 / (74 * Math.sqrt(columns)));
  return { rows, columns, values: new Int8Array(words.buffer, 0, rows * columns), scale };
}

const norm = (kind: Norm["kind"], hidden: number): Norm => ({
  kind,
  epsilon: 1e-5,
  weight: new Float32Array(hidden).fill(1),
  bias: kind === "layer" ? new Float32Array(hidden) : undefined,
});

/** The encoder of the notes: 12 layers of 384, as large as e5-small; or fewer layers, the last of which is an exit. */
export function encoderOf(tiny: boolean, layers = 12, vocabulary = tiny ? 256 : 16384): EncoderModel {
  seed();
  const [hidden, inner] = tiny ? [32, 48] : [384, 1024];
  const frame = { before: [], after: [], maxTokens: 512 };
  return {
    name: "timing",
    revision: "1",
    architecture: "tessera-encoder",
    hidden,
    heads: tiny ? 2 : 6,
    keyValueHeads: tiny ? 2 : 6,
    normPlace: "before",
    pooling: "mean",
    embedding: matrix(vocabulary, hidden),
    blocks: Array.from({ length: layers }, () => ({
      attentionNorm: norm("rms", hidden),
      query: matrix(hidden, hidden),
      key: matrix(hidden, hidden),
      value: matrix(hidden, hidden),
      output: matrix(hidden, hidden),
      feedforwardNorm: norm("rms", hidden),
      gate: matrix(inner, hidden),
      up: matrix(inner, hidden),
      down: matrix(hidden, inner),
      activation: "silu" as const,
      ropeTheta: 10000,
    })),
    exits: (layers === 12 ? [4, 8, 12] : [layers]).map((layer) => ({
      layer,
      norm: norm("rms", hidden),
      projection: matrix(hidden, hidden),
    })),
    widths: [hidden],
    frames: { query: frame, code: frame, text: frame },
    pairs: [],
    default: { query: layers, index: layers },
  };
}

/** The decoder of the notes: stick-breaking attention by modules, two of 16 experts a token. */
export function decoderOf(tiny: boolean): DecoderModel {
  seed();
  const [hidden, layers, size, inner, vocabulary, gate] = tiny
    ? [32, 2, 16, 32, 256, 16]
    : [512, 12, 256, 512, 16384, 128];
  const many = (count: number, rows: number, columns: number): Matrix[] =>
    Array.from({ length: count }, () => matrix(rows, columns));
  const route = (experts: number): Routing => ({
    kind: "learned",
    top: 2,
    router: { input: { ...matrix(gate, hidden), bias: new Float32Array(gate) }, output: matrix(experts, gate) },
  });
  const embedding = matrix(vocabulary, hidden);
  return {
    name: "timing",
    revision: "1",
    architecture: "tessera-moe",
    hidden,
    heads: 4,
    attendsCurrent: true,
    context: 1024,
    embedding,
    layers: Array.from({ length: layers }, () => ({
      attention: {
        norm: norm("layer", hidden),
        routing: route(8),
        query: many(8, size, hidden),
        output: many(8, hidden, size),
        keyValue: { key: matrix(size, hidden), value: matrix(size, hidden) },
      },
      feedforward: {
        norm: norm("layer", hidden),
        routing: route(16),
        input: many(16, inner, hidden),
        output: many(16, hidden, inner),
      },
    })),
    norm: norm("layer", hidden),
    head: embedding,
    marks: { end: 0, system: 1, user: 2, assistant: 3 },
  };
}
