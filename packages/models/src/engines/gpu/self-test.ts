// internal: selfTest
import { messageOf, mulberry32 } from "@tessera/core/internal";
import type { EncoderModel, Matrix } from "../../architectures/encoder.js";
import { randomDecoder } from "../../tools/random-decoder.js";
import { type Engine, ragged, type Sampling } from "../engine.js";
import { likeliest, readSequence } from "../reference/decoder.js";
import { referenceVectors } from "../reference/engine.js";

/**
 * Compares a small random encoder and a small random decoder with the reference.
 * @returns what is wrong, or undefined
 */
export async function selfTest(engine: Engine): Promise<string | undefined> {
  try {
    return (await encoderFailure(engine)) ?? (await decoderFailure(engine));
  } catch (error) {
    return messageOf(error);
  }
}

async function encoderFailure(engine: Engine): Promise<string | undefined> {
  const model = testEncoder();
  const texts = [[0], [1, 2, 3, 4, 5], Array.from({ length: 100 }, (_, i) => (i * 7) % 32)];
  const session = await engine.loadEncoder(model);
  try {
    const vectors = await session.encode(ragged(texts), 2);
    for (const [i, ids] of texts.entries()) {
      const expected = referenceVectors(model, Int32Array.from(ids)).get(2)!;
      const cosine = expected.reduce((sum, value, j) => sum + value * vectors[i * model.hidden + j]!, 0);
      // a vector that is not of numbers fails too
      if (!(cosine >= 0.9995)) return `a vector has a cosine of ${cosine.toFixed(4)} with the reference`;
    }
    return undefined;
  } finally {
    await session.close();
  }
}

const greedy: Sampling = { temperature: 0, topP: 1, random: 0 };
/** What an engine's rounding may decide otherwise: two tokens, or two modules, that are this close to each other. */
const close = { fp32: { logits: 1e-4, modules: 1e-5 }, other: { logits: 2e-2, modules: 1e-3 } };

/**
 * The likeliest token after every token of a few texts (teacher forcing), the first part of each text read at once: 99 % of
 * them must be those of the reference, in fp32 all, where nothing is so close that rounding decides.
 */
async function decoderFailure(engine: Engine): Promise<string | undefined> {
  const model = randomDecoder({ shape: "tiny", seed: 7 });
  const random = mulberry32(11);
  const [length, first, blockTokens] = [28, 12, 8];
  const texts = Array.from({ length: 6 }, () =>
    Array.from({ length }, () => Math.floor(random() * model.embedding.rows)),
  );
  const perText = Math.ceil(length / blockTokens);
  const blocks = texts.map((_, i) => Int32Array.from({ length: perText }, (_block, b) => b * texts.length + i));
  const allowed = engine.info.dtype === "fp32" ? close.fp32 : close.other;
  const readings = texts.map((ids) => readSequence(model, ids));
  const session = await engine.loadDecoder(model, { blocks: perText * texts.length, blockTokens });
  try {
    let [compared, same] = [0, 0];
    for (let end = first; end <= length; end++) {
      const start = end === first ? 0 : end - 1;
      const { next } = await session.step({
        ...ragged(texts.map((ids) => ids.slice(start, end))),
        cached: new Int32Array(texts.length).fill(start),
        blocks,
        sampling: texts.map(() => greedy),
      });
      for (const [i, { logits, margin }] of readings.entries()) {
        const here = logits[end - 1]!;
        const best = likeliest(here);
        const second = Math.max(...here.filter((_, id) => id !== best));
        if (here[best]! - second < allowed.logits || Math.min(...margin.slice(0, end)) < allowed.modules) continue;
        compared += 1;
        if (next[i] === best) same += 1;
      }
    }
    const needed = engine.info.dtype === "fp32" ? 1 : 0.99;
    return compared > 0 && same >= needed * compared
      ? undefined
      : `${same} of ${compared} greedy tokens are those of the reference`;
  } finally {
    await session.close();
  }
}

function testEncoder(): EncoderModel {
  const hidden = 48;
  const random = mulberry32(7);
  const matrix = (rows: number, columns: number): Matrix => {
    const values = Float32Array.from({ length: rows * columns }, () => (2 * random() - 1) * Math.sqrt(3 / columns));
    return { rows, columns, values };
  };
  const norm = { kind: "rms", epsilon: 1e-6, weight: new Float32Array(hidden).fill(1) } as const;
  const frame = { before: [], after: [], maxTokens: 128 };
  return {
    name: "self-test",
    revision: "1",
    architecture: "self-test",
    hidden,
    heads: 3,
    keyValueHeads: 3,
    normPlace: "before",
    pooling: "mean",
    embedding: matrix(32, hidden),
    blocks: Array.from({ length: 2 }, () => ({
      attentionNorm: norm,
      query: matrix(hidden, hidden),
      key: matrix(hidden, hidden),
      value: matrix(hidden, hidden),
      output: matrix(hidden, hidden),
      feedforwardNorm: norm,
      gate: matrix(80, hidden),
      up: matrix(80, hidden),
      down: matrix(hidden, 80),
      activation: "silu" as const,
      ropeTheta: 10000,
    })),
    exits: [{ layer: 2, norm, projection: matrix(hidden, hidden) }],
    widths: [hidden],
    frames: { query: frame, code: frame, text: frame },
    pairs: [],
    default: { query: 2, index: 2 },
  };
}
