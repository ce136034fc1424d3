import {
  assemble,
  type Code,
  FunctionBuilder,
  f32,
  f32x4,
  i16x8,
  i32,
  i32x4,
  instantiate,
  type Local,
  type Locals,
  loop,
  repeat,
  type SharedMemory,
  shuffle32,
  v128,
  when,
} from "./wasm.js";

// The inner loops of the decoder. Addresses are bytes of the shared memory, and every vector is padded with zeros to a
// multiple of 16 components, so that no loop has a rest. A matrix is packed in panels of four rows (see `pack`).

/** Components to which vectors and columns are padded. */
export const lane = 16;
/** Rows of one panel. */
export const panelRows = 4;

const zero = f32x4.const(0);
const next = (local: Local, bytes: number): Code => local.set(i32.add(local.get, i32.const(bytes)));

/** e^x to one unit in the last place, for x above −87: x = n ln 2 + r, the polynomial of r after Cephes (expf). */
function exponential(procedure: FunctionBuilder, x: Code): { readonly before: Code; readonly value: Code } {
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

const sumOfLanes = (x: Local): Code =>
  f32.add(f32.add(f32x4.lane(x.get, 0), f32x4.lane(x.get, 1)), f32.add(f32x4.lane(x.get, 2), f32x4.lane(x.get, 3)));

/**
 * For each of `count` inputs: output = bias + scale ⊙ (W x) · inputScale, or output += scale ⊙ (W x) · inputScale where
 * `accumulate` is 1. int8: W in bytes, x in 16 bits, sums in 32 bits without rounding; fp32: all in fp32. A panel of W
 * stays in the cache for all inputs; reading it once for two inputs together gains nothing (docs/log.md).
 */
function product(name: string, int8: boolean): FunctionBuilder {
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

/** Rows of one panel of a matrix with a scale a block. */
export const blockPanelRows = 16;

/**
 * As `multiplyInt8`, for weights scale · W + middle with both for every `columns` columns of a row: output = bias +
 * inputScale · Σ_blocks scale ⊙ (W x of the block) + middle ⊙ (sum of x in the block). A panel has 16 rows; in a block of it
 * two columns of four rows stand together, so that a product of pairs has a lane a row. `scales` has 16 scales and 16 middles
 * a panel and block; the sums of an input's blocks stand behind it (`blockSums`). A block's sum is whole: no rounding.
 */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: one function of WebAssembly, written instruction by instruction
function blockProduct(name: string, columns: number): FunctionBuilder {
  const parameters = Array.from({ length: 10 }, () => "i32" as const);
  return new FunctionBuilder(name, parameters, undefined, (procedure, ...given) => {
    const [weights, scales, bias, panels, blocks, inputs, inputScales, outputs, count, accumulate] =
      given as Locals<10>;
    const [input, at, left, offset, end, w, scale, list, total] = procedure.variables(9, "i32");
    const wholes = procedure.variables(4, "v128");
    const sums = procedure.variables(4, "v128");
    const x = procedure.variable("v128");
    return [
      offset.set(i32.const(0)),
      end.set(i32.mul(panels.get, i32.const(panelBytes))),
      loop(i32.lt(offset.get, end.get), [
        input.set(i32.const(0)),
        loop(i32.lt(input.get, count.get), [
          list.set(i32.shl(input.get, i32.const(2))),
          ...sums.map((sum) => sum.set(zero)),
          at.set(i32.load(i32.add(inputs.get, list.get))),
          total.set(i32.add(at.get, i32.mul(blocks.get, i32.const(2 * columns)))),
          w.set(weights.get),
          scale.set(scales.get),
          left.set(blocks.get),
          repeat([...blockStep(columns, { at, total, w, scale, x, wholes, sums }), next(left, -1)], left.get),
          x.set(f32x4.splat(f32.load(i32.add(inputScales.get, list.get)))),
          at.set(i32.add(i32.load(i32.add(outputs.get, list.get)), offset.get)),
          when(accumulate.get, [left.set(at.get)], [left.set(i32.add(bias.get, offset.get))]),
          ...sums.map((sum, q) =>
            v128.store(at.get, f32x4.add(f32x4.mul(sum.get, x.get), v128.load(left.get, 16 * q)), 16 * q),
          ),
          next(input, 1),
        ]),
        weights.set(i32.add(weights.get, i32.mul(blocks.get, i32.const(blockPanelRows * columns)))),
        scales.set(i32.add(scales.get, i32.mul(blocks.get, i32.const(2 * panelBytes)))),
        next(offset, panelBytes),
      ]),
    ];
  });
}

const panelBytes = blockPanelRows * 4;

/** One block of one panel and one input: its whole sums, then their part of the panel's sums. */
function blockStep(
  columns: number,
  {
    at,
    total,
    w,
    scale,
    x,
    wholes,
    sums,
  }: Readonly<Record<"at" | "total" | "w" | "scale" | "x", Local>> &
    Readonly<Record<"wholes" | "sums", readonly Local[]>>,
): Code[] {
  const pair = (k: number): Code[] => [
    x.set(v128.splat(at.get, 4 * k)),
    ...wholes.map((whole, q) => {
      const product = i32x4.dot(v128.load8x8(w.get, 32 * k + 8 * q), x.get);
      return whole.set(k === 0 ? product : i32x4.add(whole.get, product));
    }),
  ];
  return [
    ...Array.from({ length: columns / 2 }, (_, k) => pair(k)).flat(),
    x.set(v128.splat(total.get)),
    ...sums.map((sum, q) =>
      sum.set(
        f32x4.add(
          f32x4.add(sum.get, f32x4.mul(x.get, v128.load(scale.get, panelBytes + 16 * q))),
          f32x4.mul(f32x4.ofInteger(wholes[q]!.get), v128.load(scale.get, 16 * q)),
        ),
      ),
    ),
    next(at, 2 * columns),
    next(total, 4),
    next(w, blockPanelRows * columns),
    next(scale, 2 * panelBytes),
  ];
}

/** out = the sums, in fp32, of blocks of `bytes` bytes of numbers of 16 bits, from `x` to `end`. */
const blockSums = new FunctionBuilder(
  "blockSums",
  ["i32", "i32", "i32", "i32"],
  undefined,
  (procedure, x, end, bytes, out) => {
    const stop = procedure.variable("i32");
    const [sum, ones] = procedure.variables(2, "v128");
    const whole = f32x4.ofInteger(sum.get);
    return [
      // 1 in each of eight lanes of 16 bits
      ones.set(i32x4.splat(i32.const(0x10001))),
      loop(i32.lt(x!.get, end!.get), [
        stop.set(i32.add(x!.get, bytes!.get)),
        sum.set(zero),
        repeat(
          [sum.set(i32x4.add(sum.get, i32x4.dot(v128.load(x!.get), ones.get))), next(x!, 16)],
          i32.lt(x!.get, stop.get),
        ),
        sum.set(whole),
        f32.store(out!.get, sumOfLanes(sum)),
        next(out!, 4),
      ]),
    ];
  },
);

/** x of `length` (padded) as numbers of 16 bits, round(x · most / max|x|); returns max|x| / most, 0 for a vector of zeros. */
const quantise = new FunctionBuilder(
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

/** LayerNorm of `width` components, padded to `length`: weight ⊙ (x − mean) / sqrt(variance + epsilon) + bias. */
const normalise = new FunctionBuilder(
  "normalise",
  ["i32", "i32", "i32", "i32", "i32", "i32", "f32"],
  undefined,
  (procedure, x, weight, bias, out, width, length, epsilon) => {
    const [at, end] = procedure.variables(2, "i32");
    const [sum, mean, rate, difference] = procedure.variables(4, "v128");
    const [average, variance] = procedure.variables(2, "f32");
    const count = f32.ofInteger(width!.get);
    return [
      sum.set(zero),
      at.set(x!.get),
      end.set(i32.add(x!.get, i32.shl(length!.get, i32.const(2)))),
      repeat([sum.set(f32x4.add(sum.get, v128.load(at.get))), next(at, 16)], i32.lt(at.get, end.get)),
      average.set(f32.div(sumOfLanes(sum), count)),
      mean.set(f32x4.splat(average.get)),
      sum.set(zero),
      at.set(x!.get),
      repeat(
        [
          difference.set(f32x4.sub(v128.load(at.get), mean.get)),
          sum.set(f32x4.add(sum.get, f32x4.mul(difference.get, difference.get))),
          next(at, 16),
        ],
        i32.lt(at.get, end.get),
      ),
      // the padding added mean² for each of its places
      variance.set(
        f32.div(
          f32.sub(
            sumOfLanes(sum),
            f32.mul(f32.ofInteger(i32.sub(length!.get, width!.get)), f32.mul(average.get, average.get)),
          ),
          count,
        ),
      ),
      rate.set(f32x4.splat(f32.div(f32.const(1), f32.sqrt(f32.add(variance.get, epsilon!.get))))),
      at.set(x!.get),
      repeat(
        [
          v128.store(
            out!.get,
            f32x4.add(
              f32x4.mul(f32x4.mul(f32x4.sub(v128.load(at.get), mean.get), rate.get), v128.load(weight!.get)),
              v128.load(bias!.get),
            ),
          ),
          ...[at, out!, weight!, bias!].map((pointer) => next(pointer, 16)),
        ],
        i32.lt(at.get, end.get),
      ),
    ];
  },
);

/** RMS norm of `width` components, padded to `length`: weight ⊙ x / sqrt(mean(x²) + epsilon). `x` and `out` may be one. */
const normaliseRms = new FunctionBuilder(
  "normaliseRms",
  ["i32", "i32", "i32", "i32", "i32", "f32"],
  undefined,
  (procedure, x, weight, out, width, length, epsilon) => {
    const [at, end] = procedure.variables(2, "i32");
    const [sum, rate] = procedure.variables(2, "v128");
    const mean = f32.div(sumOfLanes(sum), f32.ofInteger(width!.get));
    return [
      sum.set(zero),
      at.set(x!.get),
      end.set(i32.add(x!.get, i32.shl(length!.get, i32.const(2)))),
      repeat(
        [sum.set(f32x4.add(sum.get, f32x4.mul(v128.load(at.get), v128.load(at.get)))), next(at, 16)],
        i32.lt(at.get, end.get),
      ),
      rate.set(f32x4.splat(f32.div(f32.const(1), f32.sqrt(f32.add(mean, epsilon!.get))))),
      at.set(x!.get),
      repeat(
        [
          v128.store(out!.get, f32x4.mul(f32x4.mul(v128.load(at.get), rate.get), v128.load(weight!.get))),
          ...[at, out!, weight!].map((pointer) => next(pointer, 16)),
        ],
        i32.lt(at.get, end.get),
      ),
    ];
  },
);

/**
 * Turns one head in place: x and x + half become x cos − y sin and y cos + x sin; `angles` holds `half` bytes of cosines,
 * then as many of sines.
 */
const rotate = new FunctionBuilder("rotate", ["i32", "i32", "i32"], undefined, (procedure, x, angles, half) => {
  const end = procedure.variable("i32");
  const [a, b, cos, sin] = procedure.variables(4, "v128");
  const above = (address: Local): Code => i32.add(address.get, half!.get);
  return [
    end.set(above(x!)),
    repeat(
      [
        a.set(v128.load(x!.get)),
        b.set(v128.load(above(x!))),
        cos.set(v128.load(angles!.get)),
        sin.set(v128.load(above(angles!))),
        v128.store(x!.get, f32x4.sub(f32x4.mul(a.get, cos.get), f32x4.mul(b.get, sin.get))),
        v128.store(above(x!), f32x4.add(f32x4.mul(b.get, cos.get), f32x4.mul(a.get, sin.get))),
        next(x!, 16),
        next(angles!, 16),
      ],
      i32.lt(x!.get, end.get),
    ),
  ];
});

/** z in place becomes f(z), `length` components. */
const elementwise = (
  name: string,
  compute: (procedure: FunctionBuilder, z: Local) => readonly Code[],
): FunctionBuilder =>
  new FunctionBuilder(name, ["i32", "i32"], undefined, (procedure, at, length) => {
    const end = procedure.variable("i32");
    const z = procedure.variable("v128");
    return [
      end.set(i32.add(at!.get, i32.shl(length!.get, i32.const(2)))),
      repeat(
        [z.set(v128.load(at!.get)), ...compute(procedure, z), v128.store(at!.get, z.get), next(at!, 16)],
        i32.lt(at!.get, end.get),
      ),
    ];
  });

/** z/2 · (1 + tanh a) = z / (1 + e^(−2a)), a = √(2/π) (z + 0.044715 z³) */
const geluTanh = elementwise("geluTanh", (procedure, z) => {
  const cubic = f32x4.add(f32x4.const(1), f32x4.mul(f32x4.const(0.044715), f32x4.mul(z.get, z.get)));
  const power = exponential(procedure, f32x4.mul(f32x4.const(-2 * Math.sqrt(2 / Math.PI)), f32x4.mul(z.get, cubic)));
  return [power.before, z.set(f32x4.div(z.get, f32x4.add(f32x4.const(1), power.value)))];
});

/**
 * z Φ(z) = z · (z < 0 ? c : 1 − c), c = erfc(|z| / √2) / 2, with erfc to 1.2e-7 of itself by a Chebyshev fit
 * (Numerical Recipes, §6.2): erfc(x) = t · exp(−x² + P(t)), t = 1 / (1 + x/2).
 */
const geluErf = elementwise("geluErf", (procedure, z) => {
  const [x, t] = procedure.variables(2, "v128");
  const coefficients = [
    -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223,
  ];
  const polynomial = coefficients.reduce<Code>(
    (sum, coefficient) => f32x4.add(f32x4.mul(sum, t.get), f32x4.const(coefficient)),
    f32x4.const(0.17087277),
  );
  const power = exponential(procedure, f32x4.sub(polynomial, f32x4.mul(x.get, x.get)));
  return [
    x.set(f32x4.mul(f32x4.abs(z.get), f32x4.const(Math.SQRT1_2))),
    t.set(f32x4.div(f32x4.const(1), f32x4.add(f32x4.const(1), f32x4.mul(f32x4.const(0.5), x.get)))),
    power.before,
    t.set(f32x4.mul(f32x4.const(0.5), f32x4.mul(t.get, power.value))),
    z.set(f32x4.mul(z.get, v128.select(t.get, f32x4.sub(f32x4.const(1), t.get), f32x4.lt(z.get, zero)))),
  ];
});

/** z in place becomes z · silu(gate) = z · gate / (1 + e^(−gate)), `length` components. */
const siluGate = new FunctionBuilder("siluGate", ["i32", "i32", "i32"], undefined, (procedure, gate, z, length) => {
  const end = procedure.variable("i32");
  const value = procedure.variable("v128");
  const power = exponential(procedure, f32x4.sub(zero, value.get));
  return [
    end.set(i32.add(gate!.get, i32.shl(length!.get, i32.const(2)))),
    repeat(
      [
        value.set(v128.load(gate!.get)),
        power.before,
        v128.store(z!.get, f32x4.mul(v128.load(z!.get), f32x4.div(value.get, f32x4.add(f32x4.const(1), power.value)))),
        next(gate!, 16),
        next(z!, 16),
      ],
      i32.lt(gate!.get, end.get),
    ),
  ];
});

/** What is left of a stick that no sum in fp32 feels: the tokens before it are not read. */
const spent = 1e-8;

/**
 * Stick-breaking attention of one head of one token over its first `visible` tokens, the nearest first:
 * out += stick · β_j · v_j, stick ·= 1 − β_j, β_j = sigmoid(q · k_j · scale). Keys and values are rows of `stride` bytes,
 * token j in place table[j / blockTokens] · blockTokens + j mod blockTokens; `scores` has room for the padded block.
 * `out` must be zeros and `visible` at least 1. Stops where the stick is spent.
 */
const attend = new FunctionBuilder(
  "attend",
  Array.from({ length: 11 }, (_, i) => (i === 10 ? "f32" : "i32")),
  undefined,
  // biome-ignore lint/complexity/noExcessiveLinesPerFunction: one function of WebAssembly, written instruction by instruction
  (procedure, ...given) => {
    const [query, keys, values, out, scores, bytes, stride, table, blockTokens, visible, scale] = given as Locals<11>;
    const [block, count, t, row, at, end, place] = procedure.variables(7, "i32");
    const [sum, part, sign] = procedure.variables(3, "v128");
    const [stick, share] = procedure.variables(2, "f32");
    const power = exponential(procedure, sign.get);
    const rowOf = (base: Local): Code => i32.add(base.get, i32.mul(i32.add(place.get, t.get), stride.get));
    const score = i32.add(scores.get, i32.shl(t.get, i32.const(2)));
    return [
      stick.set(f32.const(1)),
      block.set(i32.div(i32.sub(visible.get, i32.const(1)), blockTokens.get)),
      count.set(i32.sub(visible.get, i32.mul(block.get, blockTokens.get))),
      loop(i32.ge(block.get, i32.const(0)), [
        place.set(i32.mul(i32.load(i32.add(table.get, i32.shl(block.get, i32.const(2)))), blockTokens.get)),
        t.set(i32.const(0)),
        repeat(
          [
            row.set(rowOf(keys)),
            at.set(query.get),
            end.set(i32.add(query.get, bytes.get)),
            sum.set(zero),
            repeat(
              [
                sum.set(f32x4.add(sum.get, f32x4.mul(v128.load(at.get), v128.load(row.get)))),
                next(at, 16),
                next(row, 16),
              ],
              i32.lt(at.get, end.get),
            ),
            f32.store(score, f32.mul(sumOfLanes(sum), scale.get)),
            next(t, 1),
          ],
          i32.lt(t.get, count.get),
        ),
        at.set(scores.get),
        end.set(score),
        repeat(
          [
            sign.set(f32x4.sub(zero, v128.load(at.get))),
            power.before,
            v128.store(at.get, f32x4.div(f32x4.const(1), f32x4.add(f32x4.const(1), power.value))),
            next(at, 16),
          ],
          i32.lt(at.get, end.get),
        ),
        repeat(
          [
            next(t, -1),
            share.set(f32.load(score)),
            part.set(f32x4.splat(f32.mul(stick.get, share.get))),
            stick.set(f32.mul(stick.get, f32.sub(f32.const(1), share.get))),
            row.set(rowOf(values)),
            at.set(out.get),
            end.set(i32.add(out.get, bytes.get)),
            repeat(
              [
                v128.store(at.get, f32x4.add(v128.load(at.get), f32x4.mul(part.get, v128.load(row.get)))),
                next(at, 16),
                next(row, 16),
              ],
              i32.lt(at.get, end.get),
            ),
          ],
          t.get,
        ),
        when(f32.lt(stick.get, f32.const(spent)), [block.set(i32.const(0))]),
        next(block, -1),
        count.set(blockTokens.get),
      ]),
    ];
  },
);

/** Keys that are scored together. */
const keysAtOnce = 4;

/**
 * The scores of one head of one token with its first `visible` tokens: q · k_j · scale, and their maximum. Keys are as for
 * `attend`; blocks have a multiple of four tokens, and `scores` has room for whole blocks: what stands behind the visible
 * ones is overwritten.
 */
const scoreKeys = new FunctionBuilder(
  "scoreKeys",
  Array.from({ length: 9 }, (_, i) => (i === 8 ? "f32" : "i32")),
  "f32",
  (procedure, ...given) => {
    const [query, keys, scores, bytes, stride, table, blockTokens, visible, scale] = given as Locals<9>;
    const [t, row, at, end, offset, out] = procedure.variables(6, "i32");
    const sums = procedure.variables(keysAtOnce, "v128");
    const [x, low, high, peak] = procedure.variables(4, "v128");
    const last = procedure.variable("i32");
    const [a, b, c, d] = sums.map(({ get }) => get) as [Code, Code, Code, Code];
    const block = i32.load(i32.add(table.get, i32.shl(i32.div(t.get, blockTokens.get), i32.const(2))));
    const within = i32.sub(t.get, i32.mul(i32.div(t.get, blockTokens.get), blockTokens.get));
    const rowAt = (number: number): Code =>
      number === 0
        ? i32.add(row.get, offset.get)
        : i32.add(i32.add(row.get, offset.get), i32.mul(stride.get, i32.const(number)));
    return [
      t.set(i32.const(0)),
      out.set(scores.get),
      repeat(
        [
          row.set(i32.add(keys.get, i32.mul(i32.add(i32.mul(block, blockTokens.get), within), stride.get))),
          ...sums.map((sum) => sum.set(zero)),
          at.set(query.get),
          end.set(i32.add(query.get, bytes.get)),
          offset.set(i32.const(0)),
          repeat(
            [
              x.set(v128.load(at.get)),
              ...sums.map((sum, i) => sum.set(f32x4.add(sum.get, f32x4.mul(x.get, v128.load(rowAt(i)))))),
              next(at, 16),
              next(offset, 16),
            ],
            i32.lt(at.get, end.get),
          ),
          low.set(f32x4.add(shuffle32(a, b, [0, 4, 2, 6]), shuffle32(a, b, [1, 5, 3, 7]))),
          high.set(f32x4.add(shuffle32(c, d, [0, 4, 2, 6]), shuffle32(c, d, [1, 5, 3, 7]))),
          low.set(f32x4.add(shuffle32(low.get, high.get, [0, 1, 4, 5]), shuffle32(low.get, high.get, [2, 3, 6, 7]))),
          v128.store(out.get, f32x4.mul(low.get, f32x4.splat(scale.get))),
          next(out, 16),
          next(t, keysAtOnce),
        ],
        i32.lt(t.get, visible.get),
      ),
      // behind the visible ones nothing counts
      last.set(i32.add(scores.get, i32.shl(visible.get, i32.const(2)))),
      loop(i32.lt(last.get, out.get), [f32.store(last.get, f32.const(-3.4e38)), next(last, 4)]),
      peak.set(f32x4.const(-3.4e38)),
      at.set(scores.get),
      repeat([peak.set(f32x4.max(peak.get, v128.load(at.get))), next(at, 16)], i32.lt(at.get, out.get)),
      f32.max(
        f32.max(f32x4.lane(peak.get, 0), f32x4.lane(peak.get, 1)),
        f32.max(f32x4.lane(peak.get, 2), f32x4.lane(peak.get, 3)),
      ),
    ];
  },
);

/** Components of a value that are summed in registers, eight vectors of four. */
const valueLanes = 32;

/** out = rate · Σ_j shares_j · v_j over the first `visible` tokens, values as for `attend`, `bytes` a head. */
const sumValues = new FunctionBuilder(
  "sumValues",
  Array.from({ length: 9 }, (_, i) => (i === 8 ? "f32" : "i32")),
  undefined,
  (procedure, ...given) => {
    const [shares, values, out, bytes, stride, table, blockTokens, visible, rate] = given as Locals<9>;
    const [offset, row, at, end, left, entry, most] = procedure.variables(7, "i32");
    const sums = procedure.variables(8, "v128");
    const share = procedure.variable("v128");
    const tile = (width: number): Code[] => {
      const some = sums.slice(0, width / 4);
      return [
        ...some.map((sum) => sum.set(zero)),
        at.set(shares.get),
        most.set(i32.add(shares.get, i32.shl(visible.get, i32.const(2)))),
        entry.set(table.get),
        repeat(
          [
            row.set(
              i32.add(
                i32.add(values.get, offset.get),
                i32.mul(i32.mul(i32.load(entry.get), blockTokens.get), stride.get),
              ),
            ),
            left.set(i32.add(at.get, i32.shl(blockTokens.get, i32.const(2)))),
            when(i32.lt(most.get, left.get), [left.set(most.get)]),
            repeat(
              [
                share.set(v128.splat(at.get)),
                ...some.map((sum, i) => sum.set(f32x4.add(sum.get, f32x4.mul(share.get, v128.load(row.get, 16 * i))))),
                row.set(i32.add(row.get, stride.get)),
                next(at, 4),
              ],
              i32.lt(at.get, left.get),
            ),
            next(entry, 4),
          ],
          i32.lt(at.get, most.get),
        ),
        ...some.map((sum, i) =>
          v128.store(i32.add(out.get, offset.get), f32x4.mul(sum.get, f32x4.splat(rate.get)), 16 * i),
        ),
        next(offset, 4 * width),
      ];
    };
    return [
      offset.set(i32.const(0)),
      end.set(i32.sub(bytes.get, i32.const(4 * valueLanes - 4))),
      // the rest of a head that is no multiple of the tile
      when(i32.lt(i32.const(4 * valueLanes - 4), bytes.get), [loop(i32.lt(offset.get, end.get), tile(valueLanes))], []),
      loop(i32.lt(offset.get, bytes.get), tile(4)),
    ];
  },
);

/** The largest of `length` numbers. */
const largest = new FunctionBuilder("largest", ["i32", "i32"], "f32", (procedure, at, length) => {
  const end = procedure.variable("i32");
  const peak = procedure.variable("v128");
  return [
    end.set(i32.add(at!.get, i32.shl(length!.get, i32.const(2)))),
    peak.set(f32x4.const(-3.4e38)),
    repeat([peak.set(f32x4.max(peak.get, v128.load(at!.get))), next(at!, 16)], i32.lt(at!.get, end.get)),
    f32.max(
      f32.max(f32x4.lane(peak.get, 0), f32x4.lane(peak.get, 1)),
      f32.max(f32x4.lane(peak.get, 2), f32x4.lane(peak.get, 3)),
    ),
  ];
});

/** out = e^((x − peak) · rate), `length` components; returns their sum. */
const powers = new FunctionBuilder(
  "powers",
  ["i32", "i32", "i32", "f32", "f32"],
  "f32",
  (procedure, x, out, length, peak, rate) => {
    const end = procedure.variable("i32");
    const [sum, value, argument] = procedure.variables(3, "v128");
    const power = exponential(procedure, argument.get);
    return [
      sum.set(zero),
      end.set(i32.add(x!.get, i32.shl(length!.get, i32.const(2)))),
      repeat(
        [
          argument.set(f32x4.mul(f32x4.sub(v128.load(x!.get), f32x4.splat(peak!.get)), f32x4.splat(rate!.get))),
          power.before,
          value.set(v128.and(power.value, f32x4.lt(f32x4.const(-87), argument.get))),
          v128.store(out!.get, value.get),
          sum.set(f32x4.add(sum.get, value.get)),
          next(x!, 16),
          next(out!, 16),
        ],
        i32.lt(x!.get, end.get),
      ),
      sumOfLanes(sum),
    ];
  },
);

/** Addresses and lengths are numbers; see the procedure of each name. */
export interface Kernels {
  /** (weights, scales, bias, panels, steps, inputs, inputScales, outputs, count, accumulate) */
  multiplyInt8(...given: number[]): void;
  multiplyFloat(...given: number[]): void;
  /** As multiplyInt8, `steps` being blocks of 32 or of 16 columns, and `panels` of 16 rows. */
  multiplyBlocks32(...given: number[]): void;
  multiplyBlocks16(...given: number[]): void;
  quantise(x: number, out: number, length: number, most: number): number;
  blockSums(x: number, end: number, bytes: number, out: number): void;
  normalise(x: number, weight: number, bias: number, out: number, width: number, length: number, epsilon: number): void;
  normaliseRms(x: number, weight: number, out: number, width: number, length: number, epsilon: number): void;
  /** `half` is in bytes. */
  rotate(x: number, angles: number, half: number): void;
  siluGate(gate: number, z: number, length: number): void;
  geluTanh(at: number, length: number): void;
  geluErf(at: number, length: number): void;
  /** (query, keys, values, out, scores, bytes, stride, table, blockTokens, visible, scale) */
  attend(...given: number[]): void;
  /** (query, keys, scores, bytes, stride, table, blockTokens, visible, scale): the largest score */
  scoreKeys(...given: number[]): number;
  /** (shares, values, out, bytes, stride, table, blockTokens, visible, rate) */
  sumValues(...given: number[]): void;
  largest(at: number, length: number): number;
  powers(x: number, out: number, length: number, peak: number, rate: number): number;
}

/** The kernels over a shared memory. Compiling takes some milliseconds of the thread that asks. */
export function kernels(memory: SharedMemory): Kernels {
  const procedures = [
    product("multiplyInt8", true),
    product("multiplyFloat", false),
    blockProduct("multiplyBlocks32", 32),
    blockProduct("multiplyBlocks16", 16),
    quantise,
    blockSums,
    normalise,
    normaliseRms,
    rotate,
    siluGate,
    geluTanh,
    geluErf,
    attend,
    scoreKeys,
    sumValues,
    largest,
    powers,
  ];
  return instantiate(assemble(procedures), memory) as Kernels;
}
