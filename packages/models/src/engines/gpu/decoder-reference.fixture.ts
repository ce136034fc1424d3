import { mulberry32 } from "@tessera/core/internal";
import type { DecoderModel, Routing } from "../../architectures/decoder.js";
import type { Matrix, Norm } from "../../architectures/encoder.js";
import type { Sampling } from "../engine.js";
import { readSequence } from "../reference/decoder.js";

/** x Φ(x), Φ by Simpson's rule over the density. */
export const geluErf = (x: number): number => {
  const steps = 400;
  const width = x / steps;
  const density = (t: number): number => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  let sum = density(0) + density(x);
  for (let i = 1; i < steps; i++) sum += density(i * width) * (i % 2 === 0 ? 2 : 4);
  return x * (0.5 + (sum * width) / 3);
};

export const geluTanh = (z: number): number =>
  0.5 * z * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3)));

/** Logits after every token of one sequence, by the reference. */
export const referenceLogits = (model: DecoderModel, ids: readonly number[]): number[][] =>
  readSequence(model, ids).logits.map((logits) => [...logits]);

/** A token and its log-probability, by sorting; see `Sampling`. */
export function referenceSample(
  logits: readonly number[],
  { temperature, topP, random, allowed }: Sampling,
): { id: number; logprob: number } {
  const open = [...logits.keys()].filter(
    (id) => allowed === undefined || ((allowed[id >> 5]! >>> (id & 31)) & 1) === 1,
  );
  const order = open.sort((a, b) => logits[b]! - logits[a]! || a - b);
  const peak = logits[order[0]!]!;
  const total = order.reduce((sum, id) => sum + Math.exp(logits[id]! - peak), 0);
  const logprobOf = (id: number): number => logits[id]! - peak - Math.log(total);
  if (temperature === 0) return { id: order[0]!, logprob: logprobOf(order[0]!) };
  const weights = order.map((id) => Math.exp((logits[id]! - peak) / temperature));
  const mass = weights.reduce((a, b) => a + b, 0);
  let inside = 0;
  let nucleus = 0;
  while (inside < order.length && (inside === 0 || nucleus < topP * mass)) nucleus += weights[inside++]!;
  let rest = random * nucleus;
  for (let i = 0; i < inside; i++) {
    rest -= weights[i]!;
    if (rest < 0 || i === inside - 1) return { id: order[i]!, logprob: logprobOf(order[i]!) };
  }
  throw new Error("no token");
}

export interface ReferenceShape {
  readonly routing: "learned" | "average" | "none";
  readonly keyValue: boolean;
  readonly current: boolean;
}

/** A small decoder with random weights; where keys and values are the identity, modules are as wide as the model. */
export function randomDecoderModel(seed: number, { routing, keyValue, current }: ReferenceShape): DecoderModel {
  const hidden = 24;
  const size = keyValue ? 16 : hidden;
  const random = mulberry32(seed);
  const matrix = (rows: number, columns: number, bias = false): Matrix => ({
    rows,
    columns,
    values: Float32Array.from({ length: rows * columns }, () => (2 * random() - 1) * Math.sqrt(3 / columns)),
    bias: bias ? Float32Array.from({ length: rows }, () => random() - 0.5) : undefined,
  });
  const norm = (): Norm => ({
    kind: "layer",
    epsilon: 1e-5,
    weight: Float32Array.from({ length: hidden }, () => 0.5 + random()),
    bias: Float32Array.from({ length: hidden }, () => random() - 0.5),
  });
  const modules = (count: number, rows: number, columns: number): Matrix[] =>
    Array.from({ length: routing === "none" ? 1 : count }, () => matrix(rows, columns));
  const route = (experts: number): Routing => {
    if (routing === "none") return { kind: "none" };
    if (routing === "average") return { kind: "average", top: 2 };
    return { kind: "learned", top: 2, router: { input: matrix(12, hidden, true), output: matrix(experts, 12) } };
  };
  const embedding = matrix(50, hidden);
  return {
    name: "twin",
    revision: "1",
    architecture: "tessera-moe",
    hidden,
    heads: 2,
    attendsCurrent: current,
    context: 160,
    embedding,
    layers: Array.from({ length: 2 }, () => ({
      attention: {
        norm: norm(),
        routing: route(3),
        query: modules(3, size, hidden),
        output: modules(3, hidden, size),
        keyValue: keyValue ? { key: matrix(size, hidden, true), value: matrix(size, hidden, true) } : undefined,
      },
      feedforward: { norm: norm(), routing: route(5), input: modules(5, 20, hidden), output: modules(5, hidden, 20) },
    })),
    norm: norm(),
    head: embedding,
    marks: { end: 0, system: 1, user: 2, assistant: 3 },
  };
}
