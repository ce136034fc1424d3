// internal: readSequence, likeliest
import type {
  AttentionModules,
  DecoderModel,
  FeedforwardModules,
  Rotary,
  Routing,
  SoftmaxAttention,
  Weight,
} from "../../architectures/decoder.js";
import { applied, dequantise, type Norm } from "../../architectures/encoder.js";
import { loaded } from "../../formats/stored-rows.js";

/** What the reference computes of one sequence. */
interface DecoderReading {
  /** [tokens, vocabulary]: the logits of what follows each token. */
  readonly logits: readonly Float32Array[];
  /** The chosen modules of each token in each layer, best first. */
  readonly attention: readonly (readonly (readonly number[])[])[];
  readonly feedforward: readonly (readonly (readonly number[])[])[];
  /** The least difference, over layers and routers, between the last score chosen and the first one not chosen. */
  readonly margin: readonly number[];
}

interface Choice {
  readonly module: number;
  readonly weight: number;
}

/**
 * The oracle: a whole sequence at once, a token at a time, in double precision on the stored weights, in the order of
 * docs/models/decoder-bundle.md. For tests and `verify` only.
 */
export function readSequence(model: DecoderModel, ids: ArrayLike<number>): DecoderReading {
  const count = ids.length;
  const table = weightsOf(model.embedding);
  const { embedding = 1, residual = 1, logits: logitScale = 1 } = model.multipliers ?? {};
  let xs: Float64Array[] = Array.from({ length: count }, (_, t) =>
    Float64Array.from(
      table.subarray(ids[t]! * model.hidden, (ids[t]! + 1) * model.hidden),
      (value) => value * embedding,
    ),
  );
  const attention: number[][][] = xs.map(() => []);
  const feedforward: number[][][] = xs.map(() => []);
  const margin = new Array<number>(count).fill(Number.POSITIVE_INFINITY);
  const route = (routing: Routing, input: readonly Weight[], u: Float64Array, t: number): Choice[] => {
    const { choices, gap } = choose(routing, input, u);
    margin[t] = Math.min(margin[t]!, gap);
    return choices;
  };

  for (const layer of model.layers) {
    const us = xs.map((x) => normalise(layer.attention.norm, x));
    const choices = us.map((u, t) => route(layer.attention.routing, layer.attention.query, u, t));
    for (const [t, found] of choices.entries()) attention[t]!.push(found.map(({ module }) => module));
    const changes = attend(model, layer.attention, us, choices);
    xs = xs.map((x, t) => add(x, changes[t]!, residual));
    xs = xs.map((x, t) => {
      const u = normalise(layer.feedforward.norm, x);
      const found = route(layer.feedforward.routing, layer.feedforward.input, u, t);
      feedforward[t]!.push(found.map(({ module }) => module));
      return add(x, feed(layer.feedforward, u, found), residual);
    });
  }
  const logits = xs.map((x) =>
    Float32Array.from(multiply(model.head, normalise(model.norm, x)), (logit) => logit * logitScale),
  );
  return { logits, attention, feedforward, margin };
}

/** The natural-log probabilities of what follows, from logits. */
export function logSoftmax(logits: Float32Array): Float64Array {
  const most = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return Float64Array.from(logits, (logit) => logit - most - Math.log(sum));
}

/** The id of the largest logit, of equal ones the lowest. */
export function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id]! > logits[best]!) best = id;
  return best;
}

function choose(routing: Routing, input: readonly Weight[], u: Float64Array): { choices: Choice[]; gap: number } {
  if (routing.kind === "none") return { choices: [{ module: 0, weight: 1 }], gap: Number.POSITIVE_INFINITY };
  const scores =
    routing.kind === "learned"
      ? softmax(routerLogits(routing.router, u))
      : Float64Array.from(input, (matrix) => multiply(matrix, u).reduce((sum, value) => sum + value, 0) / matrix.rows);
  const order = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]! || a - b);
  const { top } = routing;
  const chosen = order.slice(0, top);
  const whole = routing.kind === "learned" && routing.over === "chosen" ? sum(chosen.map((e) => scores[e]!)) : 1;
  return {
    choices: chosen.map((module) => ({ module, weight: routing.kind === "learned" ? scores[module]! / whole : 1 })),
    gap: top < order.length ? scores[order[top - 1]!]! - scores[order[top]!]! : Number.POSITIVE_INFINITY,
  };
}

function routerLogits({ input, output }: Extract<Routing, { kind: "learned" }>["router"], u: Float64Array) {
  return multiply(output, input ? multiply(input, u).map(geluExact) : u);
}

const sum = (values: ArrayLike<number>): number => Array.from(values).reduce((total, value) => total + value, 0);

function attend(
  model: DecoderModel,
  attention: AttentionModules,
  us: readonly Float64Array[],
  choices: readonly (readonly Choice[])[],
): Float64Array[] {
  const found = attention.softmax
    ? attendSoftmax(model, attention, attention.softmax, us, choices)
    : attendSticks(model, attention, us, choices);
  const { bias } = attention;
  return bias ? found.map((change) => change.map((value, i) => value + bias[i]!)) : found;
}

/** softmax(scale · q kᵀ) v, a query head at a time, over all tokens up to the own. */
function attendSoftmax(
  { heads }: DecoderModel,
  { query, output, keyValue }: AttentionModules,
  { keyValueHeads, scale, rotary, queryNorm, keyNorm }: SoftmaxAttention,
  us: readonly Float64Array[],
  choices: readonly (readonly Choice[])[],
): Float64Array[] {
  const size = query[0]!.rows / heads;
  const keys = us.map((u, t) => turned(multiply(keyValue!.key, u), size, t, rotary, keyNorm));
  const values = us.map((u) => multiply(keyValue!.value, u));
  return us.map((u, i) => {
    const change = new Float64Array(u.length);
    for (const { module, weight } of choices[i]!) {
      const q = turned(multiply(query[module]!, u), size, i, rotary, queryNorm);
      const found = new Float64Array(q.length);
      for (let head = 0; head < heads; head++) {
        const from = Math.floor((head * keyValueHeads) / heads) * size;
        const shares = softmax(
          Float64Array.from({ length: i + 1 }, (_, j) => {
            let score = 0;
            for (let c = 0; c < size; c++) score += q[head * size + c]! * keys[j]![from + c]!;
            return score * scale;
          }),
        );
        for (const [j, share] of shares.entries())
          for (let c = 0; c < size; c++) found[head * size + c]! += share * values[j]![from + c]!;
      }
      accumulate(change, multiply(output[module]!, found), weight);
    }
    return change;
  });
}

/** Adds a vector, times a weight, to a sum. */
function accumulate(sum: Float64Array, vector: Float64Array, weight: number): void {
  for (let c = 0; c < sum.length; c++) sum[c]! += weight * vector[c]!;
}

/** Queries or keys of one token, normed and turned by its position. */
function turned(x: Float64Array, size: number, position: number, rotary?: Rotary, norm?: Norm): Float64Array {
  const y = x.slice();
  if (norm)
    for (let from = 0; from < x.length; from += norm.weight.length)
      y.set(normalise(norm, x.subarray(from, from + norm.weight.length)), from);
  if (!rotary) return y;
  const { frequencies, factor } = rotary;
  const half = frequencies.length;
  for (let from = 0; from < x.length; from += size)
    for (let i = 0; i < half; i++) {
      const angle = position * frequencies[i]!;
      const [cos, sin] = [Math.cos(angle) * factor, Math.sin(angle) * factor];
      const [a, b] = [y[from + i]!, y[from + half + i]!];
      y[from + i] = a * cos - b * sin;
      y[from + half + i] = b * cos + a * sin;
    }
  return y;
}

/** Stick-breaking, written as it is told: from the nearest token on, each breaks its part off what is left of the stick. */
function attendSticks(
  { heads, attendsCurrent }: DecoderModel,
  { query, output, keyValue }: AttentionModules,
  us: readonly Float64Array[],
  choices: readonly (readonly Choice[])[],
): Float64Array[] {
  const keys = us.map((u) => (keyValue ? multiply(keyValue.key, u) : u));
  const values = us.map((u) => (keyValue ? multiply(keyValue.value, u) : u));
  return us.map((u, i) => {
    const change = new Float64Array(u.length);
    for (const { module, weight } of choices[i]!) {
      const q = multiply(query[module]!, u);
      const found = new Float64Array(q.length);
      const size = q.length / heads;
      for (let start = 0; start < q.length; start += size) {
        let stick = 1;
        for (let j = attendsCurrent ? i : i - 1; j >= 0; j--) {
          let score = 0;
          for (let c = start; c < start + size; c++) score += q[c]! * keys[j]![c]!;
          const part = 1 / (1 + Math.exp(-score / Math.sqrt(size)));
          for (let c = start; c < start + size; c++) found[c]! += stick * part * values[j]![c]!;
          stick *= 1 - part;
        }
      }
      accumulate(change, multiply(output[module]!, found), weight);
    }
    return change;
  });
}

function feed(
  { input, gate, output, shared, bias }: FeedforwardModules,
  u: Float64Array,
  choices: readonly Choice[],
): Float64Array {
  const change = bias ? Float64Array.from(bias) : new Float64Array(u.length);
  const part = (weight: number, input: Weight, gate: Weight | undefined, output: Weight): void => {
    const wide = multiply(input, u);
    const inner = gate ? multiply(gate, u).map((value, i) => silu(value) * wide[i]!) : wide.map(geluTanh);
    const back = multiply(output, inner);
    for (let c = 0; c < change.length; c++) change[c]! += weight * back[c]!;
  };
  for (const { module, weight } of choices) part(weight, input[module]!, gate?.[module], output[module]!);
  if (shared) {
    const weight = shared.weight ? 1 / (1 + Math.exp(-multiply(shared.weight, u)[0]!)) : 1;
    part(weight, shared.input, shared.gate, shared.output);
  }
  return change;
}

const weights = new WeakMap<Weight, Float32Array>();

function weightsOf(matrix: Weight): Float32Array {
  const known = weights.get(matrix) ?? dequantise(loaded(matrix));
  weights.set(matrix, known);
  return known;
}

const multiply = (matrix: Weight, x: Float64Array): Float64Array => applied(matrix, weightsOf(matrix), x);

function normalise({ kind, epsilon, weight, bias }: Norm, x: Float64Array): Float64Array {
  if (kind === "rms") {
    const rate = 1 / Math.sqrt(sum(x.map((value) => value * value)) / x.length + epsilon);
    return x.map((value, i) => value * rate * weight[i]!);
  }
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  return x.map((value, i) => ((value - mean) / Math.sqrt(variance + epsilon)) * weight[i]! + (bias?.[i] ?? 0));
}

const add = (x: Float64Array, change: Float64Array, factor: number): Float64Array =>
  x.map((value, i) => value + factor * change[i]!);

function softmax(logits: Float64Array): Float64Array {
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}

const silu = (z: number): number => z / (1 + Math.exp(-z));

/** z/2 · (1 + tanh(√(2/π) (z + 0.044715 z³))) */
const geluTanh = (z: number): number => (z / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3)));

/** z Φ(z) */
const geluExact = (z: number): number => (z / 2) * (1 + errorFunction(z / Math.SQRT2));

/**
 * erf to double precision: its Maclaurin series below 3 (Abramowitz and Stegun 7.1.5), the continued fraction of erfc above
 * (7.1.14, from the far end).
 */
function errorFunction(x: number): number {
  const z = Math.abs(x);
  if (z < 3) {
    let term = z;
    let sum = z;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= -(z * z) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = z;
  for (let k = 60; k > 0; k--) fraction = z + k / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-z * z) / (Math.sqrt(Math.PI) * fraction));
}
