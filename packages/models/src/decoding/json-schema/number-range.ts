/** Numbers as they may be written: no exponent, at most 15 digits, so that each has a double of its own. */
export interface Range {
  /** Bytes that a beginning still needs until it may end: 0 if it may end, infinite if it never may. */
  least(beginning: string): number;
}

interface Bounds {
  readonly minimum?: number | undefined;
  readonly maximum?: number | undefined;
  readonly exclusiveMinimum?: number | undefined;
  readonly exclusiveMaximum?: number | undefined;
}

const digits = 15;
const decimals = 10;
const form = /^(-?)(0|[1-9][0-9]*)?(?:(\.)([0-9]*))?$/;

/**
 * The numbers within bounds. A value is counted in units of 10^−10, or of 1 for integers; a beginning is followed by the
 * shortest ending whose interval meets the bounds.
 */
export function decimalRange(
  { minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Bounds,
  integer: boolean,
): Range {
  const places = integer ? 0 : decimals;
  const unit = 10n ** BigInt(places);
  const limit = 10n ** BigInt(digits) * unit - 1n;
  const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);
  const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);
  let [low, high] = [-limit, limit];
  if (minimum !== undefined) low = larger(low, scaled(minimum, places, "up"));
  if (maximum !== undefined) high = smaller(high, scaled(maximum, places, "down"));
  if (exclusiveMinimum !== undefined) low = larger(low, scaled(exclusiveMinimum, places, "down") + 1n);
  if (exclusiveMaximum !== undefined) high = smaller(high, scaled(exclusiveMaximum, places, "up") - 1n);
  const known = new Map<string, number>();

  /** Whether a multiple of `step` lies in both intervals. */
  const meets = (from: bigint, to: bigint, step: bigint, negative: boolean): boolean => {
    const [least, most] = negative ? [larger(-high, 1n), -low] : [larger(low, 0n), high];
    const start = larger(from, least);
    const first = ((start + step - 1n) / step) * step;
    return first <= smaller(to, most);
  };

  const after = (beginning: string): number => {
    const match = form.exec(beginning);
    if (!match) return Number.POSITIVE_INFINITY;
    const [, sign, whole, point, fraction = ""] = match;
    const negative = sign === "-";
    if (whole === undefined) {
      if (point) return Number.POSITIVE_INFINITY;
      return (
        1 + Math.min(...Array.from(beginning === "" ? "-0123456789" : "0123456789", (next) => least(beginning + next)))
      );
    }
    const room = digits - whole.length - fraction.length;
    if (room < 0 || fraction.length > places || (point && integer)) return Number.POSITIVE_INFINITY;
    const start = BigInt(whole) * unit + BigInt(fraction.padEnd(places, "0") || "0");
    if (point) {
      for (let more = fraction.length === 0 ? 1 : 0; more <= Math.min(room, places - fraction.length); more++) {
        const wide = 10n ** BigInt(places - fraction.length);
        const step = 10n ** BigInt(places - fraction.length - more);
        if (meets(start, start + wide - step, step, negative)) return more;
      }
      return Number.POSITIVE_INFINITY;
    }
    const reached = Array.from({ length: whole === "0" ? 1 : room + 1 }, (_, more) => 10n ** BigInt(more));
    if (!reached.some((times) => meets(start * times, (start + unit) * times - 1n, 1n, negative)))
      return Number.POSITIVE_INFINITY;
    // more digits of the whole part, then perhaps a point and some behind it: the shortest first
    for (let bytes = 0; bytes <= room + 1; bytes++)
      for (let more = whole === "0" ? 0 : bytes; more >= 0; more--) {
        const behind = bytes - more - 1;
        if (more > room || behind === 0 || (whole === "0" && more > 0)) continue;
        if (behind > 0 && (integer || behind > places || more + behind > room)) continue;
        const times = 10n ** BigInt(more);
        const step = behind > 0 ? 10n ** BigInt(places - behind) : unit;
        if (meets(start * times, (start + unit) * times - step, step, negative)) return bytes;
      }
    return Number.POSITIVE_INFINITY;
  };
  const least = (beginning: string): number => {
    const found = known.get(beginning) ?? after(beginning);
    if (known.size > 10_000) known.clear();
    known.set(beginning, found);
    return found;
  };
  return { least };
}

/** value · 10^places as a whole number. */
function scaled(value: number, places: number, towards: "up" | "down"): bigint {
  const [mantissa, exponent = "0"] = value.toExponential().split("e") as [string, string?];
  const [whole, fraction = ""] = mantissa.split(".") as [string, string?];
  const number = BigInt(whole + fraction);
  const shift = Number(exponent) - fraction.length + places;
  if (shift >= 0) return number * 10n ** BigInt(Math.min(shift, 400));
  const divisor = 10n ** BigInt(Math.min(-shift, 400));
  const quotient = number / divisor;
  if (quotient * divisor === number) return quotient;
  // division cuts towards zero
  if (towards === "up") return number > 0n ? quotient + 1n : quotient;
  return number > 0n ? quotient : quotient - 1n;
}
