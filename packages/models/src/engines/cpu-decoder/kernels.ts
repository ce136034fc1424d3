import { attend } from "./kernel-attention.js";
import { type BlockFormat, blockProduct, blockSums, eightBits, fourBits, toDigits } from "./kernel-blocks.js";
import { exponential, next, sumOfLanes, sumSquares, zero } from "./kernel-parts.js";
import { product, quantise } from "./kernel-products.js";
import { scoreKeys, sumValues } from "./kernel-softmax.js";
import {
  assemble,
  type Code,
  FunctionBuilder,
  f32,
  f32x4,
  i32,
  instantiate,
  type Local,
  repeat,
  type SharedMemory,
  v128,
} from "./wasm.js";

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
      ...sumSquares(sum, { at, end }, x!, length!),
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

/** x · rate in place, `length` components. */
const scaleRow = new FunctionBuilder("scaleRow", ["i32", "i32", "f32"], undefined, (procedure, at, length, rate) => {
  const end = procedure.variable("i32");
  return [
    end.set(i32.add(at!.get, i32.shl(length!.get, i32.const(2)))),
    repeat(
      [v128.store(at!.get, f32x4.mul(v128.load(at!.get), f32x4.splat(rate!.get))), next(at!, 16)],
      i32.lt(at!.get, end.get),
    ),
  ];
});

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

/** Weights in blocks: of 8 bits with 32 or 16 columns, of 4 bits with scales of 16 or of 32 bits. */
const blockFormats = {
  eights: eightBits(32),
  narrow: eightBits(16),
  foursHalf: fourBits(true),
  foursSingle: fourBits(false),
} as const satisfies Record<string, BlockFormat>;

export type BlockFormatName = keyof typeof blockFormats;

/** Addresses and lengths are numbers; see the procedure of each name. */
export interface Kernels {
  /** (weights, scales, bias, panels, steps, inputs, inputScales, outputs, count, accumulate) */
  multiplyInt8(...given: number[]): void;
  multiplyFloat(...given: number[]): void;
  /**
   * As multiplyInt8, `steps` being blocks of columns and `panels` of 16 rows; by format and by how many inputs a tile has, one or
   * four.
   */
  readonly multiplyBlocks: Readonly<Record<BlockFormatName, Readonly<Record<1 | 4, (...given: number[]) => void>>>>;
  quantise(x: number, out: number, length: number, most: number): number;
  blockSums(x: number, end: number, bytes: number, out: number): void;
  toDigits(x: number, out: number, length: number, most: number): void;
  normalise(x: number, weight: number, bias: number, out: number, width: number, length: number, epsilon: number): void;
  normaliseRms(x: number, weight: number, out: number, width: number, length: number, epsilon: number): void;
  /** `half` is in bytes. */
  rotate(x: number, angles: number, half: number): void;
  siluGate(gate: number, z: number, length: number): void;
  geluTanh(at: number, length: number): void;
  geluErf(at: number, length: number): void;
  /** (query, keys, values, out, scores, bytes, stride, table, blockTokens, visible, scale) */
  attend(...given: number[]): void;
  /** (query, scores, keys, bytes, stride, entry, blockTokens, count, scale), and for two queries and places for scores. */
  scoreKeys(...given: number[]): void;
  scoreKeysOfTwo(...given: number[]): void;
  /** (shares, out, values, bytes, stride, entry, blockTokens, count, fresh), and for two. */
  sumValues(...given: number[]): void;
  sumValuesOfTwo(...given: number[]): void;
  scaleRow(at: number, length: number, rate: number): void;
  largest(at: number, length: number): number;
  powers(x: number, out: number, length: number, peak: number, rate: number): number;
}

/** The kernels over a shared memory. Compiling takes some milliseconds of the thread that asks. */
export function kernels(memory: SharedMemory): Kernels {
  const procedures = [
    product("multiplyInt8", true),
    product("multiplyFloat", false),
    ...Object.entries(blockFormats).flatMap(([name, format]) => [
      blockProduct(`${name}1`, format, 4, 1),
      blockProduct(`${name}4`, format, 2, 4),
    ]),
    quantise,
    blockSums,
    toDigits,
    normalise,
    normaliseRms,
    rotate,
    siluGate,
    geluTanh,
    geluErf,
    attend,
    scoreKeys("scoreKeys", 1),
    scoreKeys("scoreKeysOfTwo", 2),
    sumValues("sumValues", 1),
    sumValues("sumValuesOfTwo", 2),
    scaleRow,
    largest,
    powers,
  ];
  const found = instantiate(assemble(procedures), memory) as Kernels & Record<string, (...given: number[]) => void>;
  const tiles = (name: string) => ({ 1: found[`${name}1`]!, 4: found[`${name}4`]! });
  const multiplyBlocks = {
    eights: tiles("eights"),
    narrow: tiles("narrow"),
    foursHalf: tiles("foursHalf"),
    foursSingle: tiles("foursSingle"),
  };
  return { ...found, multiplyBlocks };
}
