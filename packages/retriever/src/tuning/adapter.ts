import { TesseraError } from "@tessera/core";
import { z } from "zod";

/**
 * A low-rank map of query vectors, q′ = q + U·V·q: what tuning learns where the encoder itself stays as it is. Passages
 * keep their vectors, so nothing is indexed again.
 */
export const adapter = z.strictObject({
  /** The space of the vectors that it was made for. */
  space: z.string(),
  width: z.int().positive(),
  rank: z.int().positive(),
  /** U, `width` rows of `rank`, and V, `rank` rows of `width`; row by row. */
  up: z.array(z.number()),
  down: z.array(z.number()),
});
export type Adapter = z.infer<typeof adapter>;

/** A query, the documents it is compared with, and which share of 1 each should have. */
export interface Example {
  readonly query: Float32Array;
  readonly documents: readonly Float32Array[];
  readonly target: readonly number[];
}

/** What is minimised, in nats; P_R = softmax(q′·d / γ) over the documents of an example. */
export type Loss = "contrastive" | "divergence";

export interface TrainingSettings {
  readonly loss: Loss;
  readonly rank: number;
  /** γ */
  readonly temperature: number;
  readonly learningRate: number;
  readonly epochs: number;
  readonly batch: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly signal?: AbortSignal;
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>, from = 0): number => {
  let sum = 0;
  for (let i = 0; i < b.length; i++) sum += a[from + i]! * b[i]!;
  return sum;
};

/** exp(x / temperature), normalised to sum 1. */
export function softmax(values: readonly number[], temperature: number): number[] {
  const most = Math.max(...values);
  const powers = values.map((value) => Math.exp((value - most) / temperature));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/**
 * The loss of scores and its gradient by them. "contrastive" is −Σ t · log P_R, which with one positive is equation 10;
 * "divergence" is KL(P_R ‖ target), equation 16, with the target of equation 11.
 */
export function lossOf(scores: readonly number[], target: readonly number[], loss: Loss, temperature: number) {
  const shares = softmax(scores, temperature);
  const log = (share: number) => Math.log(Math.max(share, 1e-30));
  if (loss === "contrastive")
    return {
      value: -target.reduce((sum, wanted, i) => sum + (wanted === 0 ? 0 : wanted * log(shares[i]!)), 0),
      gradient: shares.map((share, i) => (share - target[i]!) / temperature),
    };
  const ratio = shares.map((share, i) => log(share) - log(target[i]!));
  const value = dot(shares, ratio);
  return { value, gradient: shares.map((share, i) => (share * (ratio[i]! - value)) / temperature) };
}

/** Parameters with their gradient, stepped by Adam (Kingma and Ba 2015) with its usual decays 0.9 and 0.999. */
class Parameters {
  readonly gradient: Float64Array;
  private readonly mean: Float64Array;
  private readonly square: Float64Array;
  private steps = 0;

  constructor(readonly values: Float64Array) {
    this.gradient = new Float64Array(values.length);
    this.mean = new Float64Array(values.length);
    this.square = new Float64Array(values.length);
  }

  step(rate: number): void {
    this.steps++;
    const [first, second] = [1 - 0.9 ** this.steps, 1 - 0.999 ** this.steps];
    for (let i = 0; i < this.values.length; i++) {
      const slope = this.gradient[i]!;
      this.mean[i] = 0.9 * this.mean[i]! + 0.1 * slope;
      this.square[i] = 0.999 * this.square[i]! + 0.001 * slope * slope;
      this.values[i]! -= (rate * (this.mean[i]! / first)) / (Math.sqrt(this.square[i]! / second) + 1e-8);
    }
    this.gradient.fill(0);
  }
}

/** The vector of a query under an adapter, at length 1. @throws TesseraError SPACE_MISMATCH */
export function adapt({ up, down, rank, width }: Adapter, query: Float32Array): Float32Array {
  if (query.length !== width || up.length !== rank * width || down.length !== rank * width)
    throw new TesseraError("SPACE_MISMATCH", `an adapter of ${width} components cannot map ${query.length}`);
  const inner = Array.from({ length: rank }, (_, row) => dot(down, query, row * width));
  const mapped = query.map((component, i) => component + dot(up, inner, i * rank));
  const length = Math.hypot(...mapped) || 1;
  return mapped.map((component) => component / length);
}

/**
 * Trains an adapter. It begins as the identity (U = 0), so that the first loss is that of the encoder alone. Between
 * batches others have their turn.
 * @returns the adapter, and the mean loss of each epoch.
 * @throws TesseraError BAD_VALUE where there is nothing to learn from, ABORTED through the signal.
 */
export async function trainAdapter(examples: readonly Example[], space: string, settings: TrainingSettings) {
  const { loss, rank, temperature, learningRate, epochs, batch, random, signal } = settings;
  const width = examples[0]?.query.length ?? 0;
  if (width === 0) throw new TesseraError("BAD_VALUE", "there is no example to learn from");
  const up = new Parameters(new Float64Array(width * rank));
  const down = new Parameters(Float64Array.from({ length: rank * width }, () => (random() - 0.5) / Math.sqrt(width)));
  const order = examples.map((_, index) => index);
  const losses: number[] = [];
  for (let epoch = 0; epoch < epochs; epoch++) {
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    let total = 0;
    for (let start = 0; start < order.length; start += batch) {
      signal?.throwIfAborted();
      const members = order.slice(start, start + batch);
      for (const member of members)
        total += learn(examples[member]!, up, down, { rank, loss, temperature }, 1 / members.length);
      up.step(learningRate);
      down.step(learningRate);
      await new Promise((resolve) => setImmediate(resolve));
    }
    losses.push(total / order.length);
  }
  const trained: Adapter = { space, width, rank, up: [...up.values], down: [...down.values] };
  return { adapter: trained, losses };
}

/** Adds the gradient of one example, weighted, and gives its loss. */
function learn(
  { query, documents, target }: Example,
  up: Parameters,
  down: Parameters,
  { rank, loss, temperature }: { rank: number; loss: Loss; temperature: number },
  weight: number,
): number {
  const width = query.length;
  const inner = Array.from({ length: rank }, (_, row) => dot(down.values, query, row * width));
  const mapped = Float64Array.from(query, (component, i) => component + dot(up.values, inner, i * rank));
  const { value, gradient } = lossOf(
    documents.map((document) => dot(mapped, document)),
    target,
    loss,
    temperature,
  );
  const slope = new Float64Array(width);
  for (const [index, document] of documents.entries())
    for (let i = 0; i < width; i++) slope[i]! += weight * gradient[index]! * document[i]!;
  const back = new Float64Array(rank);
  for (let i = 0; i < width; i++)
    for (let r = 0; r < rank; r++) {
      up.gradient[i * rank + r]! += slope[i]! * inner[r]!;
      back[r]! += up.values[i * rank + r]! * slope[i]!;
    }
  for (let r = 0; r < rank; r++) for (let i = 0; i < width; i++) down.gradient[r * width + i]! += back[r]! * query[i]!;
  return value;
}
