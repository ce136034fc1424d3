// public: Interval, PairedInterval, BootstrapSettings, bootstrap, pairedBootstrap
import { TesseraError } from "@tessera/core";
import { mean, uniform } from "@tessera/core/internal";

/** A mean with the bounds of its interval. */
export interface Interval {
  readonly mean: number;
  /** The bounds of the interval. */
  readonly low: number;
  readonly high: number;
  /** How many values there were. */
  readonly count: number;
}

/** The mean difference of paired values. */
export interface PairedInterval extends Interval {
  /**
   * The chance of a mean difference at least so far from 0 if there were none, two-sided:
   * 2 · min(P(m ≤ 0), P(m ≥ 0)) over the resampled means m, each count and the number of resamples raised by one, 1 at most.
   */
  readonly p: number;
}

/** A number as tables show it: three decimals, one from 10 on. */
export const showNumber = (value: number): string => value.toFixed(Math.abs(value) >= 10 ? 1 : 3);

/** A mean with its interval, as tables show it: "0.895 [0.877, 0.911]". */
export function showInterval({ mean, low, high }: Interval): string {
  const digits = Math.abs(mean) >= 10 ? 1 : 3;
  return `${mean.toFixed(digits)} [${low.toFixed(digits)}, ${high.toFixed(digits)}]`;
}

/** How intervals are computed by resampling. */
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
export function bootstrap(values: readonly number[], settings: BootstrapSettings = {}): Interval {
  return intervalOf(values, resampled(values, settings), settings);
}

/** The means of resampled values, rising. */
function resampled(values: readonly number[], { resamples = 2000, seed = 1 }: BootstrapSettings): number[] {
  if (values.length === 0 || values.some((value) => !Number.isFinite(value)))
    throw new TesseraError("BAD_ARGUMENT", "a mean needs values that are numbers");
  const random = uniform(seed);
  return Array.from({ length: resamples }, () => {
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum += values[Math.floor(random() * values.length)]!;
    return sum / values.length;
  }).sort((a, b) => a - b);
}

function intervalOf(
  values: readonly number[],
  means: readonly number[],
  { level = 0.95 }: BootstrapSettings,
): Interval {
  const last = means.length - 1;
  const at = (share: number) => means[Math.min(last, Math.max(0, Math.round(share * last)))]!;
  return {
    mean: mean(values),
    low: at((1 - level) / 2),
    high: at((1 + level) / 2),
    count: values.length,
  };
}

/** The mean difference of paired values, left minus right, with its interval and p: each question is its own control. */
export function pairedBootstrap(
  left: readonly number[],
  right: readonly number[],
  settings: BootstrapSettings = {},
): PairedInterval {
  if (left.length !== right.length)
    throw new TesseraError("BAD_ARGUMENT", `${left.length} values cannot be paired with ${right.length}`);
  const differences = left.map((value, index) => value - right[index]!);
  const means = resampled(differences, settings);
  const beyond = (test: (mean: number) => boolean) => (means.filter(test).length + 1) / (means.length + 1);
  const p = Math.min(
    1,
    2 *
      Math.min(
        beyond((mean) => mean <= 0),
        beyond((mean) => mean >= 0),
      ),
  );
  return { ...intervalOf(differences, means, settings), p };
}
