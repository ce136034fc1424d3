import { next, panelRows, zero } from "./kernel-parts.js";
import {
  type Code,
  FunctionBuilder,
  f32,
  f32x4,
  i16x8,
  i32,
  i32x4,
  type Locals,
  loop,
  repeat,
  shuffle32,
  v128,
  when,
} from "./wasm.js";

/**
 * For each of `count` inputs: output = bias + scale ⊙ (W x) · inputScale, or output += scale ⊙ (W x) · inputScale where
 * `accumulate` is 1. int8: W in bytes, x in 16 bits, sums in 32 bits without rounding; fp32: all in fp32. A panel of W
 * stays in the cache for all inputs; reading it once for two inputs together gains nothing (docs/log.md).
 */
export function product(name: string, int8: boolean): FunctionBuilder {
  const rowBytes = int8 ? 8 : 16; // of W, in one vector of a row
  const vectors = int8 ? 2 : 4; // in `lane` columns
  const add = int8 ? i32x4.add : f32x4.add;
  const multiply = int8 ? i32x4.dot : f32x4.mul;
  const parameters = Array.from({ length: 10 }, () => "i32" as const);
  return new FunctionBuilder(name, parameters, undefined, (procedure, ...given) => {
    const [weights, scales, bias, panels, steps, inputs, inputScales, outputs, count, accumulate] = given as Locals<10>;
    const [input, at, left, offset, end, w, list] = procedure.variables(7, "i32");
    const sums = procedure.variables(panelRows, "v128");
    const [x, low, high] = procedure.variables(3, "v128");
    const [a, b, c, d] = sums.map(({ get }) => get) as [Code, Code, Code, Code];
    const total = add(shuffle32(low.get, high.get, [0, 1, 4, 5]), shuffle32(low.get, high.get, [2, 3, 6, 7]));
    const scaled = f32x4.mul(int8 ? f32x4.ofInteger(total) : total, v128.load(i32.add(scales.get, offset.get)));
    const inner = Array.from({ length: vectors }, (_, v) => [
      x.set(v128.load(at.get, 16 * v)),
      ...sums.map((sum, r) => {
        const place = rowBytes * (panelRows * v + r);
        return sum.set(add(sum.get, multiply(int8 ? v128.load8x8(w.get, place) : v128.load(w.get, place), x.get)));
      }),
    ]).flat();
    return [
      offset.set(i32.const(0)),
      end.set(i32.mul(panels.get, i32.const(4 * panelRows))),
      loop(i32.lt(offset.get, end.get), [
        input.set(i32.const(0)),
        loop(i32.lt(input.get, count.get), [
          list.set(i32.shl(input.get, i32.const(2))),
          ...sums.map((sum) => sum.set(zero)),
          at.set(i32.load(i32.add(inputs.get, list.get))),
          w.set(weights.get),
          left.set(steps.get),
          repeat([...inner, next(at, 16 * vectors), next(w, panelRows * rowBytes * vectors), next(left, -1)], left.get),
          // the lanes of the four sums become one vector, a lane a row
          low.set(add(shuffle32(a, b, [0, 4, 2, 6]), shuffle32(a, b, [1, 5, 3, 7]))),
          high.set(add(shuffle32(c, d, [0, 4, 2, 6]), shuffle32(c, d, [1, 5, 3, 7]))),
          at.set(i32.add(i32.load(i32.add(outputs.get, list.get)), offset.get)),
          when(accumulate.get, [left.set(at.get)], [left.set(i32.add(bias.get, offset.get))]),
          v128.store(
            at.get,
            f32x4.add(
              f32x4.mul(scaled, f32x4.splat(f32.load(i32.add(inputScales.get, list.get)))),
              v128.load(left.get),
            ),
          ),
          next(input, 1),
        ]),
        weights.set(i32.add(weights.get, i32.mul(steps.get, i32.const(panelRows * rowBytes * vectors)))),
        next(offset, 4 * panelRows),
      ]),
    ];
  });
}

/** x of `length` (padded) as numbers of 16 bits, round(x · most / max|x|); returns max|x| / most, 0 for a vector of zeros. */
export const quantise = new FunctionBuilder(
  "quantise",
  ["i32", "i32", "i32", "f32"],
  "f32",
  (procedure, x, out, length, most) => {
    const [at, end] = procedure.variables(2, "i32");
    const [peak, factor] = procedure.variables(2, "v128");
    const largest = procedure.variable("f32");
    const half = (offset: number): Code =>
      i32x4.ofFloat(f32x4.nearest(f32x4.mul(v128.load(at!.get, offset), factor!.get)));
    return [
      peak.set(zero),
      at.set(x!.get),
      end.set(i32.add(x!.get, i32.shl(length!.get, i32.const(2)))),
      repeat([peak.set(f32x4.max(peak.get, f32x4.abs(v128.load(at.get)))), next(at, 16)], i32.lt(at.get, end.get)),
      largest.set(
        f32.max(
          f32.max(f32x4.lane(peak.get, 0), f32x4.lane(peak.get, 1)),
          f32.max(f32x4.lane(peak.get, 2), f32x4.lane(peak.get, 3)),
        ),
      ),
      when(
        f32.lt(largest.get, f32.const(2 ** -100)),
        [largest.set(f32.const(0)), factor.set(zero)],
        [factor.set(f32x4.splat(f32.div(most!.get, largest.get)))],
      ),
      at.set(x!.get),
      repeat(
        [v128.store(out!.get, i16x8.narrow(half(0), half(16))), next(at, 32), next(out!, 16)],
        i32.lt(at.get, end.get),
      ),
      f32.div(largest.get, most!.get),
    ];
  },
);
