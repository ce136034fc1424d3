import { dequantise, type Matrix, type Norm } from "../../encoder-model.js";
import type { Sampling } from "../../engine.js";
import type { FeedforwardModules, GeneratorModel, Routing } from "../../generator-model.js";
import { randomStream } from "../../random-encoder.js";

const product = (matrix: Matrix, x: readonly number[]): number[] => {
  const weights = dequantise(matrix);
  return Array.from({ length: matrix.rows }, (_, o) =>
    x.reduce((sum, value, i) => sum + value * weights[o * matrix.columns + i]!, matrix.bias?.[o] ?? 0),
  );
};

const normed = ({ epsilon, weight, bias }: Norm, x: readonly number[]): number[] => {
  const mean = x.reduce((a, b) => a + b, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  return x.map((value, i) => ((value - mean) / Math.sqrt(variance + epsilon)) * weight[i]! + (bias?.[i] ?? 0));
};

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

/** The chosen modules and their weights; docs/models/generator-bundle.md. */
function choose(routing: Routing, first: readonly Matrix[], u: readonly number[]): [module: number, weight: number][] {
  if (routing.kind === "none") return [[0, 1]];
  let scores: number[];
  if (routing.kind === "average")
    scores = first.map((matrix) => product(matrix, u).reduce((a, b) => a + b, 0) / matrix.rows);
  else {
    const logits = product(routing.router.output, product(routing.router.input, u).map(geluErf));
    const exps = logits.map((z) => Math.exp(z - Math.max(...logits)));
    scores = exps.map((value) => value / exps.reduce((a, b) => a + b, 0));
  }
  return scores
    .map((score, e): [number, number] => [e, score])
    .sort(([a, x], [b, y]) => y - x || a - b)
    .slice(0, routing.top)
    .map(([e, score]) => [e, routing.kind === "average" ? 1 : score]);
}

/** Logits after every token of one sequence, in double precision. */
export function twinLogits(model: GeneratorModel, ids: readonly number[]): number[][] {
  const table = dequantise(model.embedding);
  let x = ids.map((id) => [...table.subarray(id * model.hidden, (id + 1) * model.hidden)]);
  const add = (a: readonly number[], b: readonly number[], weight = 1): number[] =>
    a.map((value, i) => value + weight * b[i]!);
  for (const { attention, feedforward } of model.layers) {
    const u = x.map((row) => normed(attention.norm, row));
    const keys = u.map((row) => (attention.keyValue ? product(attention.keyValue.key, row) : row));
    const values = u.map((row) => (attention.keyValue ? product(attention.keyValue.value, row) : row));
    x = x.map((row, i) => {
      let y = row;
      for (const [e, weight] of choose(attention.routing, attention.query, u[i]!)) {
        const q = product(attention.query[e]!, u[i]!);
        const size = q.length / model.heads;
        const mixed = new Array<number>(q.length).fill(0);
        for (let head = 0; head < model.heads; head++) {
          let stick = 1;
          for (let j = model.attendsCurrent ? i : i - 1; j >= 0; j--) {
            let dot = 0;
            for (let c = head * size; c < (head + 1) * size; c++) dot += q[c]! * keys[j]![c]!;
            const share = 1 / (1 + Math.exp(-dot / Math.sqrt(size)));
            for (let c = head * size; c < (head + 1) * size; c++) mixed[c]! += stick * share * values[j]![c]!;
            stick *= 1 - share;
          }
        }
        y = add(y, product(attention.output[e]!, mixed), weight);
      }
      return y;
    });
    x = x.map((row) =>
      feed(feedforward, normed(feedforward.norm, row)).reduce((y, [part, weight]) => add(y, part, weight), row),
    );
  }
  return x.map((row) => product(model.head, normed(model.norm, row)));
}

const feed = ({ routing, input, output }: FeedforwardModules, u: number[]): [number[], number][] =>
  choose(routing, input, u).map(([e, weight]) => [product(output[e]!, product(input[e]!, u).map(geluTanh)), weight]);

/** A token and its log-probability, by sorting; see `Sampling`. */
export function twinSample(
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

export interface TwinShape {
  readonly routing: "learned" | "average" | "none";
  readonly keyValue: boolean;
  readonly current: boolean;
}

/** A small generator with random weights; where keys and values are the identity, modules are as wide as the model. */
export function randomGeneratorModel(seed: number, { routing, keyValue, current }: TwinShape): GeneratorModel {
  const hidden = 24;
  const size = keyValue ? 16 : hidden;
  const random = randomStream(seed);
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
