import { TesseraError } from "@tessera/core";
import { softmax } from "@tessera/core/internal";
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

interface TrainingSettings {
  readonly loss: Loss;
  readonly rank: number;
  /** γ */
  readonly temperature: number;
  readonly learningRate: number;
  readonly epochs: number;
  readonly batch: number;
  /** The share of the examples that is held back to judge each epoch by, from 0 to below 1. */
  readonly validation: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly signal?: AbortSignal;
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>, from = 0): number => {
  let sum = 0;
  for (let i = 0; i < b.length; i++) sum += a[from + i]! * b[i]!;
  return sum;
};

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

/**
 * The vector of a query under an adapter, at length 1.
 * @throws TesseraError SPACE_MISMATCH where the adapter was made for vectors of another space.
 */
export function adapt({ up, down, rank, width, space }: Adapter, query: Float32Array, of: string): Float32Array {
  if (space !== of)
    throw new TesseraError("SPACE_MISMATCH", `the adapter maps "${space}", not "${of}"`, {
      hint: "learn it again with this encoder",
    });
  if (query.length !== width || up.length !== rank * width || down.length !== rank * width)
    throw new TesseraError("SPACE_MISMATCH", `an adapter of ${width} components cannot map ${query.length}`);
  const inner = Array.from({ length: rank }, (_, row) => dot(down, query, row * width));
  const mapped = query.map((component, i) => component + dot(up, inner, i * rank));
  const length = Math.hypot(...mapped) || 1;
  return mapped.map((component) => component / length);
}

/** The state of a training: the parameters so far, and how they are judged. */
class Training {
  readonly up: Parameters;
  readonly down: Parameters;

  constructor(
    readonly width: number,
    private readonly settings: TrainingSettings,
  ) {
    const { rank, random } = settings;
    this.up = new Parameters(new Float64Array(width * rank));
    this.down = new Parameters(Float64Array.from({ length: rank * width }, () => (random() - 0.5) / Math.sqrt(width)));
  }

  private forward({ query, documents, target }: Example) {
    const { rank, loss, temperature } = this.settings;
    const inner = Array.from({ length: rank }, (_, row) => dot(this.down.values, query, row * this.width));
    const mapped = Float64Array.from(query, (component, i) => component + dot(this.up.values, inner, i * rank));
    const scores = documents.map((document) => dot(mapped, document));
    return { inner, ...lossOf(scores, target, loss, temperature) };
  }

  /** The mean loss of examples. */
  lossOn = (examples: readonly Example[]): number =>
    examples.reduce((sum, example) => sum + this.forward(example).value, 0) / examples.length;

  /** One step on a batch. @returns the sum of its losses before it. */
  step(batch: readonly Example[]): number {
    const sum = batch.reduce((total, example) => total + this.learn(example, 1 / batch.length), 0);
    for (const parameters of [this.up, this.down]) parameters.step(this.settings.learningRate);
    return sum;
  }

  /** Adds the gradient of one example, weighted, and gives its loss. */
  private learn(example: Example, weight: number): number {
    const { query, documents } = example;
    const { width, up, down } = this;
    const { rank } = this.settings;
    const { inner, value, gradient } = this.forward(example);
    const slope = new Float64Array(width);
    for (const [index, document] of documents.entries())
      for (let i = 0; i < width; i++) slope[i]! += weight * gradient[index]! * document[i]!;
    const back = new Float64Array(rank);
    for (let i = 0; i < width; i++)
      for (let r = 0; r < rank; r++) {
        up.gradient[i * rank + r]! += slope[i]! * inner[r]!;
        back[r]! += up.values[i * rank + r]! * slope[i]!;
      }
    for (let r = 0; r < rank; r++)
      for (let i = 0; i < width; i++) down.gradient[r * width + i]! += back[r]! * query[i]!;
    return value;
  }

  adapter = (space: string): Adapter => ({
    ...{ space, width: this.width, rank: this.settings.rank },
    ...{ up: [...this.up.values], down: [...this.down.values] },
  });
}

/** After so many epochs without a lower loss on what is held back, training ends. */
const patience = 5;

/** Fisher and Yates. */
function shuffle<T>(list: T[], random: () => number): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
}

/**
 * Trains an adapter. It begins as the identity (U = 0), so that the first loss is that of the encoder alone. A share of
 * the examples, `validation`, is held back: what is kept are the parameters of the epoch with the least loss on these,
 * the identity where no epoch lowers it. Between batches others have their turn.
 * @returns the adapter; the mean loss of each epoch; and the losses on what was held back, the first before any step.
 * @throws TesseraError BAD_VALUE where there is nothing to learn from, ABORTED through the signal.
 */
export async function trainAdapter(examples: readonly Example[], space: string, settings: TrainingSettings) {
  const { epochs, batch, validation, random, signal } = settings;
  const width = examples[0]?.query.length ?? 0;
  if (width === 0)
    throw new TesseraError("BAD_VALUE", "there is no example to learn from", {
      hint: "a model that refuses every question makes none",
    });
  const training = new Training(width, settings);
  const learnt = [...examples];
  shuffle(learnt, random);
  const heldBack = learnt.splice(0, Math.floor(examples.length * validation));
  const losses: number[] = [];
  const heldBackLosses = heldBack.length > 0 ? [training.lossOn(heldBack)] : [];
  let adapter = training.adapter(space);
  for (let epoch = 0; epoch < epochs; epoch++) {
    shuffle(learnt, random);
    let total = 0;
    for (let start = 0; start < learnt.length; start += batch) {
      signal?.throwIfAborted();
      total += training.step(learnt.slice(start, start + batch));
      await new Promise((resolve) => setImmediate(resolve));
    }
    losses.push(total / learnt.length);
    if (heldBack.length > 0) heldBackLosses.push(training.lossOn(heldBack));
    const best = heldBack.length > 0 ? heldBackLosses.indexOf(Math.min(...heldBackLosses)) : epoch + 1;
    if (best === epoch + 1) adapter = training.adapter(space);
    else if (epoch + 1 - best >= patience) break;
  }
  return { adapter, losses, validation: heldBackLosses };
}
