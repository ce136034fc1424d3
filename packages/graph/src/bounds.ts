import { type AnyOperator, type Bound, TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import type { FlowBound } from "./plan.js";

const greatest = Number.MAX_SAFE_INTEGER;

export const none: FlowBound = { steps: 0, calls: 0, tokens: 0, layers: 0 };

const combined = (combine: (measure: keyof FlowBound) => number): FlowBound => {
  const of = (measure: keyof FlowBound) => Math.min(greatest, combine(measure));
  const waits = of("waits");
  const spent = { steps: of("steps"), calls: of("calls"), tokens: of("tokens"), layers: of("layers") };
  return waits > 0 ? { ...spent, waits } : spent;
};
const amount = (bound: FlowBound, measure: keyof FlowBound): number => bound[measure] ?? 0;

export const plus = (a: FlowBound, b: FlowBound): FlowBound =>
  combined((measure) => amount(a, measure) + amount(b, measure));
export const times = (a: FlowBound, n: number): FlowBound => combined((measure) => amount(a, measure) * n);
export const most = (a: FlowBound, b: FlowBound): FlowBound =>
  combined((measure) => Math.max(amount(a, measure), amount(b, measure)));

/**
 * The most that one activation of an operator can spend, as it declares; fractions are rounded up.
 * @throws TesseraError BAD_OPERATOR where what it declares is no bound: an amount that is no number or negative, or an error.
 */
export function operatorBound({ name, bound }: AnyOperator, config: unknown): Required<Bound> | undefined {
  if (!bound) return undefined;
  let declared: Partial<Record<keyof Bound, unknown>>;
  try {
    declared = bound(config) as never;
  } catch (cause) {
    throw new TesseraError("BAD_OPERATOR", `the bound of ${name} cannot be computed: ${messageOf(cause)}`, { cause });
  }
  const read = (measure: keyof Bound): number => {
    const value = declared?.[measure] ?? (measure === "layers" ? 0 : undefined);
    if (typeof value !== "number" || !(value >= 0))
      throw new TesseraError("BAD_OPERATOR", `the bound of ${name} has no valid \`${measure}\`: ${String(value)}`, {
        hint: "a bound has `calls` and `tokens`, and may have `layers`: numbers that are not negative",
      });
    return Math.min(greatest, Math.ceil(value));
  };
  return { calls: read("calls"), tokens: read("tokens"), layers: read("layers") };
}
