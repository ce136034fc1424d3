import { TesseraError } from "@tessera/core";

export interface Interval {
  readonly mean: number;
  /** The bounds of the interval. */
  readonly low: number;
  readonly high: number;
  /** How many values there were. */
  readonly count: number;
}

export interface BootstrapSettings {
  /** How much of the distribution the interval holds; 0.95. */
  readonly level?: number;
  readonly resamples?: number;
  readonly seed?: number;
}

/**
 * The mean of some values with its bootstrap percentile interval (Efron and Tibshirani 1993, chapter 13).
 * @throws TesseraError BAD_ARGUMENT where there is no value, or one is no number.
 */
export function bootstrap(
  values: readonly number[],
  { level = 0.95, resamples = 2000, seed = 1 }: BootstrapSettings = {},
): Interval {
  if (values.length === 0 || values.some((value) => !Number.isFinite(value)))
    throw new TesseraError("BAD_ARGUMENT", "a mean needs values that are numbers");
  const random = generator(seed);
  const means = Array.from({ length: resamples }, () => {
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum += values[Math.floor(random() * values.length)]!;
    return sum / values.length;
  }).sort((a, b) => a - b);
  const at = (share: number) => means[Math.min(resamples - 1, Math.max(0, Math.round(share * (resamples - 1))))]!;
  return {
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    low: at((1 - level) / 2),
    high: at((1 + level) / 2),
    count: values.length,
  };
}

/** The mean difference of paired values, left minus right, with its interval: each question is its own control. */
export function pairedBootstrap(
  left: readonly number[],
  right: readonly number[],
  settings?: BootstrapSettings,
): Interval {
  if (left.length !== right.length)
    throw new TesseraError("BAD_ARGUMENT", `${left.length} values cannot be paired with ${right.length}`);
  return bootstrap(
    left.map((value, index) => value - right[index]!),
    settings,
  );
}

// the minimal standard generator (Park and Miller 1988), in [0, 1)
function generator(seed: number): () => number {
  let state = (Math.abs(Math.trunc(seed)) % 2147483646) + 1;
  return () => {
    state = (state * 48271) % 2147483647;
    return (state - 1) / 2147483646;
  };
}
