import { blockPanelRows, next, sumOfLanes, sumSquares, zero } from "./kernel-parts.js";
import {
  type Code,
  FunctionBuilder,
  f32,
  f32x4,
  i8x16,
  i16x8,
  i32,
  i32x4,
  type Local,
  type Locals,
  loop,
  repeat,
  v128,
  when,
} from "./wasm.js";

// Products of weights that have a scale and a middle for every block of columns: weight = scale · W + middle. A panel has 16
// rows, four groups of four; a lane is a row. A tile is some groups of a panel by some inputs: its sums stay in registers, and
// a weight that was loaded serves all inputs of the tile. What an input gets is the same in every tile.

const panelBytes = blockPanelRows * 4;
const groupsOfPanel = blockPanelRows / 4;

/** A tile while one block of it is computed. */
interface Tile {
  readonly w: Local;
  /** Where the block of each input lies. */
  readonly x: readonly Local[];
  readonly weights: readonly Local[];
  readonly value: Local;
  /** By input and group. */
  readonly wholes: readonly Local[][];
}

/** How weights and inputs of a product lie in memory. */
export interface BlockFormat {
  readonly columns: 16 | 32;
  /** Bytes of a block: of a panel's weights, and of an input. */
  readonly weightBytes: number;
  readonly inputBytes: number;
  /** Bytes of a group's weights in the first vectors of a block. */
  readonly groupBytes: number;
  /** Scales and middles are of 16 bits (IEEE 754 binary16), else of 32. */
  readonly half: boolean;
  /** What computes the whole sums of a block, and what it needs before the first. */
  block(procedure: FunctionBuilder, tile: Tile): { readonly before?: readonly Code[]; readonly code: readonly Code[] };
  /** The scale of an input's block; where there is none the list of `inputScales` says all. */
  readonly inputScale?: number;
  /** Where the sum of an input's block lies, from the block on; where it is not said, the sums stand behind the input. */
  readonly inputSum?: number;
}

/**
 * For each of `count` inputs, a multiple of `inputs`: output = bias + inputScale · Σ_blocks (scale ⊙ (W x) + middle ⊙ Σ x), or
 * output += the same without bias where `accumulate` is 1. `scales` has 16 scales and 16 middles a panel and block.
 */
export function blockProduct(name: string, format: BlockFormat, groups: 2 | 4, inputs: 1 | 4): FunctionBuilder {
  const parameters = Array.from({ length: 10 }, () => "i32" as const);
  return new FunctionBuilder(name, parameters, undefined, (procedure, ...given) => {
    const [weights, scales, bias, panels, blocks, list, inputScales, outputs, count, accumulate] = given as Locals<10>;
    const [input, left, offset, end, w, scale, behind, at] = procedure.variables(8, "i32");
    const tile: Tile = {
      w,
      x: procedure.variables(inputs, "i32"),
      weights: procedure.variables(groups, "v128"),
      value: procedure.variable("v128"),
      wholes: Array.from({ length: inputs }, () => procedure.variables(groups, "v128")),
    };
    const sums = Array.from({ length: inputs }, () => procedure.variables(groups, "v128") as Local[]);
    const scaleBytes = (format.half ? 2 : 4) * 2 * blockPanelRows;
    const entry = (base: Local, t: number): Code =>
      i32.load(i32.add(base.get, i32.shl(input.get, i32.const(2))), 4 * t);
    const wholes = format.block(procedure, tile);
    const parts = addBlock(procedure, format, tile, sums, { scale, behind });
    const chunk = (first: number): Code[] => [
      input.set(i32.const(0)),
      loop(i32.lt(input.get, count.get), [
        ...tile.x.map((x, t) => x.set(entry(list, t))),
        ...sums.flat().map((sum) => sum.set(zero)),
        behind.set(i32.mul(blocks.get, i32.const(format.inputBytes))),
        w.set(i32.add(weights.get, i32.const(format.groupBytes * first))),
        scale.set(i32.add(scales.get, i32.const((format.half ? 8 : 16) * first))),
        left.set(blocks.get),
        repeat(
          [
            ...wholes.code,
            ...parts.code,
            ...tile.x.map((x) => next(x, format.inputBytes)),
            next(behind, 4 - format.inputBytes),
            next(w, format.weightBytes),
            next(scale, scaleBytes),
            next(left, -1),
          ],
          left.get,
        ),
        ...sums.flatMap((some, t) => [
          tile.value.set(v128.splat(i32.add(inputScales.get, i32.shl(input.get, i32.const(2))), 4 * t)),
          at.set(i32.add(entry(outputs, t), offset.get)),
          when(accumulate.get, [left.set(at.get)], [left.set(i32.add(bias.get, offset.get))]),
          ...some.map((sum, i) => {
            const place = 16 * (first + i);
            return v128.store(at.get, f32x4.add(f32x4.mul(sum.get, tile.value.get), v128.load(left.get, place)), place);
          }),
        ]),
        next(input, inputs),
      ]),
    ];
    return [
      ...(wholes.before ?? []),
      ...parts.before,
      offset.set(i32.const(0)),
      end.set(i32.mul(panels.get, i32.const(panelBytes))),
      loop(i32.lt(offset.get, end.get), [
        ...Array.from({ length: groupsOfPanel / groups }, (_, c) => chunk(c * groups)).flat(),
        weights.set(i32.add(weights.get, i32.mul(blocks.get, i32.const(format.weightBytes)))),
        scales.set(i32.add(scales.get, i32.mul(blocks.get, i32.const(scaleBytes)))),
        next(offset, panelBytes),
      ]),
    ];
  });
}

/** sums += scale ⊙ wholes · the scale of the input's block + middle · the sum of the input's block. */
function addBlock(
  procedure: FunctionBuilder,
  { half, inputScale, inputSum }: BlockFormat,
  { x, value, wholes, weights }: Tile,
  sums: readonly (readonly Local[])[],
  { scale, behind }: Readonly<Record<"scale" | "behind", Local>>,
): { before: Code[]; code: Code[] } {
  const middles = weights.map(() => procedure.variable("v128"));
  const [mask, rise] = procedure.variables(2, "v128");
  /** A half's bits as a number of 32 bits: shifted into place it is 2^112 times too small. */
  const ofHalf = (bits: Code): Code => f32x4.mul(v128.and(i32x4.shl(bits, 13), mask.get), rise.get);
  const load = (i: number, of: 0 | 1): Code =>
    half
      ? ofHalf(v128.load16x4(scale.get, 8 * i + 2 * blockPanelRows * of))
      : v128.load(scale.get, 16 * i + panelBytes * of);
  // the weights' registers are free by now
  const code = [
    ...weights.map((local, i) => local.set(load(i, 0))),
    ...middles.map((local, i) => local.set(load(i, 1))),
    ...sums.flatMap((some, t) => [
      value.set(inputSum === undefined ? v128.splat(i32.add(x[t]!.get, behind.get)) : v128.splat(x[t]!.get, inputSum)),
      ...some.map((sum, i) => sum.set(f32x4.add(sum.get, f32x4.mul(value.get, middles[i]!.get)))),
      ...(inputScale === undefined ? [] : [value.set(v128.splat(x[t]!.get, inputScale))]),
      ...some.map((sum, i) => {
        const rate = inputScale === undefined ? weights[i]!.get : f32x4.mul(weights[i]!.get, value.get);
        return sum.set(f32x4.add(sum.get, f32x4.mul(f32x4.ofInteger(wholes[t]![i]!.get), rate)));
      }),
    ]),
  ];
  return { before: half ? [mask.set(i32x4.const(0x8fffe000)), rise.set(f32x4.const(2 ** 112))] : [], code };
}

/** Weights of 8 bits by inputs of 16: two columns of a group's rows stand together, so a product of pairs has a lane a row. */
export const eightBits = (columns: 16 | 32): BlockFormat => ({
  columns,
  weightBytes: blockPanelRows * columns,
  inputBytes: 2 * columns,
  groupBytes: 8,
  half: false,
  block: (_, { w, x, weights, value, wholes }) => ({
    code: Array.from({ length: columns / 2 }, (_, k) => [
      ...weights.map((weight, i) => weight.set(v128.load8x8(w.get, 32 * k + 8 * i))),
      ...x.flatMap((from, t) => [
        value.set(v128.splat(from.get, 4 * k)),
        ...wholes[t]!.map((whole, i) => {
          const product = i32x4.dot(weights[i]!.get, value.get);
          return whole.set(k === 0 ? product : i32x4.add(whole.get, product));
        }),
      ]),
    ]).flat(),
  }),
});

/** Where the parts of a block of 32 columns of an input in digits lie, in bytes. */
export const digits = { high: 0, low: 32, scale: 64, sum: 68, wide: 72, bytes: 80 } as const;

/**
 * Weights of 4 bits, 0 … 15, by inputs in digits: x = scale · (128 · high + low), each with 8 bits and a sign. A vector has four
 * columns of a group's rows in its low halves and the next four in its high ones. Products of a block's digits stay within 16
 * bits: 16 · 15 · 127 = 30,480. Blocks whose inputs are not wide have no low digits, and these are passed over.
 */
export const fourBits = (half: boolean): BlockFormat => ({
  columns: 32,
  weightBytes: (blockPanelRows * 32) / 2,
  inputBytes: digits.bytes,
  groupBytes: 16,
  half,
  inputScale: digits.scale,
  inputSum: digits.sum,
  block(procedure, { w, x, weights, value, wholes }) {
    const packed = weights.map(() => procedure.variable("v128"));
    const [mask, ones, highest] = procedure.variables(3, "v128");
    const lows = wholes.map((some) => some.map(() => procedure.variable("v128")));
    const pass = (sums: readonly (readonly Local[])[], place: number): Code[] =>
      Array.from({ length: 8 }, (_, k) => [
        ...packed.flatMap((both, i) =>
          k % 2 === 0
            ? [both.set(v128.load(w.get, 32 * k + 16 * i)), weights[i]!.set(v128.and(both.get, mask.get))]
            : [weights[i]!.set(v128.and(i16x8.shr(both.get, 4), mask.get))],
        ),
        ...x.flatMap((from, t) => [
          value.set(v128.splat(from.get, place + 4 * k)),
          ...sums[t]!.map((sum, i) => {
            const product = i16x8.dotBytes(value.get, weights[i]!.get);
            return sum.set(k === 0 ? product : i16x8.add(sum.get, product));
          }),
        ]),
      ]).flat();
    const wide = x.map((from) => i32.load(from.get, digits.wide)).reduce((a, b) => i32.or(a, b));
    const code = [
      ...pass(wholes, digits.high),
      ...wholes.flat().map((whole) => whole.set(i32x4.dot(whole.get, highest.get))),
      when(wide, [
        ...pass(lows, digits.low),
        ...wholes.flatMap((some, t) =>
          some.map((whole, i) => whole.set(i32x4.add(whole.get, i32x4.dot(lows[t]![i]!.get, ones.get)))),
        ),
      ]),
    ];
    const constants = [mask.set(i16x8.const(0x0f0f)), ones.set(i16x8.const(1)), highest.set(i16x8.const(128))];
    return { before: constants, code };
  },
});

/** out = the sums, in fp32, of blocks of `bytes` bytes of numbers of 16 bits, from `x` to `end`. */
export const blockSums = new FunctionBuilder(
  "blockSums",
  ["i32", "i32", "i32", "i32"],
  undefined,
  (procedure, x, end, bytes, out) => {
    const stop = procedure.variable("i32");
    const [sum, ones] = procedure.variables(2, "v128");
    const whole = f32x4.ofInteger(sum.get);
    return [
      ones.set(i16x8.const(1)),
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

const largestLane = (x: Local): Code =>
  f32.max(f32.max(f32x4.lane(x.get, 0), f32x4.lane(x.get, 1)), f32.max(f32x4.lane(x.get, 2), f32x4.lane(x.get, 3)));

/** 32 whole numbers in eight vectors, as bytes. */
const storeBytes = (out: Local, values: readonly Local[], place: number): Code[] =>
  [0, 1].map((half) => {
    const [a, b, c, d] = values.slice(4 * half, 4 * half + 4).map(({ get }) => get) as [Code, Code, Code, Code];
    return v128.store(out.get, i8x16.narrow(i16x8.narrow(a, b), i16x8.narrow(c, d)), place + 16 * half);
  });

/** What is left of x · factor beside its high digits, 128 times. */
const lowDigits = (x: Code, factor: Local, high: Local): Code =>
  i32x4.ofFloat(
    f32x4.nearest(f32x4.mul(f32x4.sub(f32x4.mul(x, factor.get), f32x4.ofInteger(high.get)), f32x4.const(128))),
  );

/**
 * x of `length`, a multiple of 32, in digits (see `fourBits`). A block is wide where its largest is above `most` times the root
 * of the mean square of all: what is common in it would be lost beside it.
 */
export const toDigits = new FunctionBuilder(
  "toDigits",
  ["i32", "i32", "i32", "f32"],
  undefined,
  (procedure, x, out, length, most) => {
    const [at, end] = procedure.variables(2, "i32");
    const [sum, peak, factor, step] = procedure.variables(4, "v128");
    const highs = procedure.variables(8, "v128");
    const [largest, limit] = procedure.variables(2, "f32");
    const wide = f32.lt(limit.get, largest.get);
    const store = (place: number): Code[] => storeBytes(out!, highs, place);
    return [
      ...sumSquares(sum, { at, end }, x!, length!),
      limit.set(f32.mul(most!.get, f32.sqrt(f32.div(sumOfLanes(sum), f32.ofInteger(length!.get))))),
      repeat(
        [
          peak.set(zero),
          ...highs.map((_, i) => peak.set(f32x4.max(peak.get, f32x4.abs(v128.load(x!.get, 16 * i))))),
          largest.set(largestLane(peak)),
          when(
            f32.lt(largest.get, f32.const(2 ** -100)),
            [largest.set(f32.const(0)), factor.set(zero)],
            [factor.set(f32x4.splat(f32.div(f32.const(127), largest.get)))],
          ),
          ...highs.map((high, i) =>
            high.set(i32x4.ofFloat(f32x4.nearest(f32x4.mul(v128.load(x!.get, 16 * i), factor.get)))),
          ),
          ...store(digits.high),
          step.set(zero),
          ...highs.map((high) => step.set(i32x4.add(step.get, high.get))),
          step.set(i32x4.shl(step.get, 7)),
          i32.store(out!.get, wide, digits.wide),
          when(
            wide,
            [
              ...highs.map((high, i) => high.set(lowDigits(v128.load(x!.get, 16 * i), factor, high))),
              ...highs.map((high) => step.set(i32x4.add(step.get, high.get))),
              ...store(digits.low),
            ],
            [v128.store(out!.get, zero, digits.low), v128.store(out!.get, zero, digits.low + 16)],
          ),
          largest.set(f32.div(largest.get, f32.const(127 * 128))),
          f32.store(out!.get, largest.get, digits.scale),
          step.set(f32x4.ofInteger(step.get)),
          f32.store(out!.get, f32.mul(sumOfLanes(step), largest.get), digits.sum),
          next(x!, 128),
          next(out!, digits.bytes),
        ],
        i32.lt(x!.get, end.get),
      ),
    ];
  },
);
