import { type Code, type FunctionBuilder, f32, f32x4, i32, i32x4, type Local, repeat, v128 } from "./wasm.js";

// The inner loops of the decoder. Addresses are bytes of the shared memory, and every vector is padded with zeros to a
// multiple of 16 components, so that no loop has a rest. A matrix is packed in panels of four rows (see `pack`).

/** Components to which vectors and columns are padded. */
export const lane = 16;
/** Rows of one panel. */
export const panelRows = 4;
/** Rows of one panel of a matrix with a scale a block. */
export const blockPanelRows = 16;

export const zero = f32x4.const(0);
export const next = (local: Local, bytes: number): Code => local.set(i32.add(local.get, i32.const(bytes)));

/** e^x to one unit in the last place, for x above −87: x = n ln 2 + r, the polynomial of r after Cephes (expf). */
export function exponential(procedure: FunctionBuilder, x: Code): { readonly before: Code; readonly value: Code } {
  const [clamped, whole, rest] = procedure.variables(3, "v128");
  const polynomial = [1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1].reduce<Code>(
    (sum, coefficient) => f32x4.add(f32x4.mul(sum, rest.get), f32x4.const(coefficient)),
    f32x4.const(1.98756915e-4),
  );
  const power = i32x4.shl(i32x4.add(i32x4.ofFloat(whole.get), i32x4.splat(i32.const(127))), 23);
  const near = f32x4.add(f32x4.mul(f32x4.mul(rest.get, rest.get), polynomial), f32x4.add(rest.get, f32x4.const(1)));
  return {
    before: [
      clamped.set(f32x4.min(f32x4.max(x, f32x4.const(-87)), f32x4.const(88))),
      whole.set(f32x4.nearest(f32x4.mul(clamped.get, f32x4.const(Math.LOG2E)))),
      rest.set(
        f32x4.sub(
          f32x4.sub(clamped.get, f32x4.mul(whole.get, f32x4.const(0.693359375))),
          f32x4.mul(whole.get, f32x4.const(-2.1219444e-4)),
        ),
      ),
    ].flat(),
    value: f32x4.mul(near, power),
  };
}

/** Adds the squares of `length` components from the address `x` into the lanes of `sum`; `at` runs from `x` to `end`. */
export const sumSquares = (
  sum: Local,
  { at, end }: Readonly<Record<"at" | "end", Local>>,
  x: Local,
  length: Local,
): Code[] => [
  sum.set(zero),
  at.set(x.get),
  end.set(i32.add(x.get, i32.shl(length.get, i32.const(2)))),
  repeat(
    [sum.set(f32x4.add(sum.get, f32x4.mul(v128.load(at.get), v128.load(at.get)))), next(at, 16)],
    i32.lt(at.get, end.get),
  ),
];

export const sumOfLanes = (x: Local): Code =>
  f32.add(f32.add(f32x4.lane(x.get, 0), f32x4.lane(x.get, 1)), f32.add(f32x4.lane(x.get, 2), f32x4.lane(x.get, 3)));
