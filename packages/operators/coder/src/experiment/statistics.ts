import { TesseraError } from "@tessera/core";
import { mean, mulberry32 } from "@tessera/core/internal";

/**
 * The probability that one of k samples drawn without replacement from n, of which c are right, is right:
 * 1 − C(n − c, k) / C(n, k) (Chen et al. 2021, equation 1).
 * @throws TesseraError BAD_ARGUMENT where k > n or c > n.
 */
export function passAtK(n: number, c: number, k: number): number {
  if (k > n || c > n || k < 1) throw new TesseraError("BAD_ARGUMENT", `pass@${k} of ${c} in ${n} is not defined`);
  let none = 1;
  for (let i = 0; i < k; i++) none *= Math.max(0, n - c - i) / (n - i);
  return 1 - none;
}

export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** The mean of the drawn pairs; `undefined` where it is not defined for a draw. */
type Statistic = (left: number, right: number) => number | undefined;
const difference: Statistic = (left, right) => left - right;
const relative: Statistic = (left, right) => (right === 0 ? undefined : left / right - 1);

/**
 * A paired bootstrap over problems: the difference of means of two arms (or, "relative", their ratio less one), with its
 * percentile interval. `left[i]` and `right[i]` belong to the same problem. Equal seeds give equal intervals.
 * @throws TesseraError BAD_ARGUMENT where the lists are empty or differ in length.
 */
export function pairedBootstrap(
  left: readonly number[],
  right: readonly number[],
  {
    kind = "difference",
    resamples = 10_000,
    level = 0.95,
    seed = 0,
  }: { kind?: "difference" | "relative"; resamples?: number; level?: number; seed?: number } = {},
): Interval {
  const count = left.length;
  if (count === 0 || right.length !== count)
    throw new TesseraError("BAD_ARGUMENT", `cannot pair ${count} problems with ${right.length}`);
  const statistic = kind === "relative" ? relative : difference;
  const random = mulberry32(seed);
  const drawn: number[] = [];
  for (let n = 0; n < resamples; n++) {
    let [sumLeft, sumRight] = [0, 0];
    for (let i = 0; i < count; i++) {
      const index = Math.floor(random() * count);
      sumLeft += left[index]!;
      sumRight += right[index]!;
    }
    const value = statistic(sumLeft / count, sumRight / count);
    if (value !== undefined) drawn.push(value);
  }
  drawn.sort((a, b) => a - b);
  const at = (share: number) => drawn[Math.min(drawn.length - 1, Math.floor(share * drawn.length))] ?? Number.NaN;
  return {
    value: statistic(mean(left), mean(right)) ?? Number.NaN,
    low: at((1 - level) / 2),
    high: at((1 + level) / 2),
  };
}
