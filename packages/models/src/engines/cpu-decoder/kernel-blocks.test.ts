import { describe, expect, it } from "@jest/globals";
import { mulberry32 } from "@tessera/core/internal";
import fc from "fast-check";
import { digits } from "./kernel-blocks.js";
import { kernels } from "./kernels.js";
import { sharedMemory } from "./wasm.js";

const memory = sharedMemory(2 ** 22);
const compute = kernels(memory);
const floats = new Float32Array(memory.buffer);
const integers = new Int32Array(memory.buffer);
const bytes = new Uint8Array(memory.buffer);
const at = {
  weights: 2 ** 16,
  scales: 2 ** 18,
  bias: 2 ** 19,
  x: 2 ** 20,
  digits: 2 ** 20 + 2 ** 18,
  out: 2 ** 21,
  lists: 3 * 2 ** 20,
};

/** A matrix of 4 bits with the formula of every weight, in memory. */
function randomFours(random: () => number, rows: number, blocks: number): Float64Array {
  const columns = 32 * blocks;
  const dense = new Float64Array(rows * columns);
  bytes.fill(0, at.weights, at.weights + (rows * columns) / 2);
  for (let row = 0; row < rows; row++)
    for (let b = 0; b < blocks; b++) {
      const place = Math.floor(row / 16) * blocks + b;
      const [scale, middle] = [Math.fround(random()), Math.fround(random() - 0.5)];
      floats[at.scales / 4 + 32 * place + (row % 16)] = scale;
      floats[at.scales / 4 + 32 * place + 16 + (row % 16)] = middle;
      for (let i = 0; i < 32; i++) {
        const q = Math.floor(random() * 16);
        bytes[at.weights + 256 * place + 64 * (i >> 3) + 4 * (row % 16) + (i & 3)]! |= q << (i & 4);
        dense[row * columns + 32 * b + i] = q * scale + middle;
      }
    }
  return dense;
}

/** The product by tiles of four inputs as far as these go, or of one. */
function product(rows: number, blocks: number, count: number, tile: 1 | 4): Float32Array[] {
  const stride = blocks * digits.bytes;
  for (let i = 0; i < count; i++) {
    integers[at.lists / 4 + i] = at.digits + stride * i;
    floats[at.lists / 4 + 64 + i] = 1;
    integers[at.lists / 4 + 128 + i] = at.out + 4 * rows * i;
  }
  const fours = tile === 4 ? count - (count % 4) : 0;
  for (const [size, first, some] of [
    [4, 0, fours],
    [1, fours, count - fours],
  ] as const)
    if (some > 0)
      compute.multiplyBlocks.foursSingle[size](
        ...[at.weights, at.scales, at.bias, rows / 16, blocks],
        ...[0, 256, 512].map((list) => at.lists + list + 4 * first),
        ...[some, 0],
      );
  return Array.from({ length: count }, (_, i) => floats.slice(at.out / 4 + rows * i, at.out / 4 + rows * (i + 1)));
}

describe("weights of 4 bits by inputs in digits", () => {
  it("give an input the same alone and among others, and are as near as the digits say", () => {
    const shape = fc.record({
      seed: fc.integer(),
      panels: fc.integer({ min: 1, max: 3 }),
      blocks: fc.integer({ min: 1, max: 5 }),
      count: fc.integer({ min: 1, max: 9 }),
      most: fc.constantFrom(0, 2, 4, 1e9),
      outliers: fc.constantFrom(0, 0.02, 0.2),
    });
    fc.assert(
      fc.property(shape, ({ seed, panels, blocks, count, most, outliers }) => {
        const random = mulberry32(seed);
        const [rows, columns] = [16 * panels, 32 * blocks];
        const dense = randomFours(random, rows, blocks);
        const inputs = Array.from({ length: count }, () =>
          Float32Array.from({ length: columns }, () => (random() - 0.5) * (random() < outliers ? 300 : 1)),
        );
        for (const [i, input] of inputs.entries()) {
          floats.set(input, at.x / 4);
          compute.toDigits(at.x, at.digits + blocks * digits.bytes * i, columns, most);
        }
        const found = product(rows, blocks, count, 4);
        expect(found).toEqual(product(rows, blocks, count, 1));
        for (const [i, input] of inputs.entries()) {
          const rms = Math.sqrt(input.reduce((sum, x) => sum + x * x, 0) / columns);
          for (let row = 0; row < rows; row++) {
            let [whole, bound] = [0, 0];
            for (let c = 0; c < columns; c++) whole += dense[row * columns + c]! * input[c]!;
            for (let b = 0; b < blocks; b++) {
              const some = input.subarray(32 * b, 32 * b + 32);
              const peak = some.reduce((largest, x) => Math.max(largest, Math.abs(x)), 0);
              const step = peak / 127 / (peak > most * rms * 0.9999 ? 128 : 1);
              const rounded = peak > most * rms * 1.0001 ? step : peak / 127;
              for (let c = 0; c < 32; c++) bound += Math.abs(dense[row * columns + 32 * b + c]!) * rounded * 0.51;
            }
            expect(Math.abs(found[i]![row]! - whole)).toBeLessThan(bound + 1e-4 * rms * columns);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it("are exact at the ends of their range", () => {
    const blocks = 2;
    bytes.fill(0xff, at.weights, at.weights + 512);
    floats.fill(1, at.scales / 4, at.scales / 4 + 64);
    floats.fill(0, at.scales / 4 + 16, at.scales / 4 + 32);
    floats.fill(0, at.scales / 4 + 48, at.scales / 4 + 64);
    for (const sign of [1, -1]) {
      floats.fill(sign * 127, at.x / 4, at.x / 4 + 64);
      for (let i = 0; i < 4; i++) compute.toDigits(at.x, at.digits + blocks * digits.bytes * i, 64, 0);
      for (const some of product(16, blocks, 4, 4)) expect([...new Set(some)]).toEqual([sign * 64 * 15 * 127]);
    }
  });
});

describe("attention by softmax", () => {
  it("gives a query the same scores and sums alone and in a pair", () => {
    const random = mulberry32(3);
    const [stride, blockTokens, table] = [4 * 80, 8, Int32Array.of(3, 0, 2)];
    for (const [size, count] of [
      [64, 21],
      [20, 5],
      [4, 8],
      [80, 24],
    ] as const) {
      for (let i = 0; i < 40 * 80; i++) floats[at.x / 4 + i] = random() - 0.5;
      for (let i = 0; i < 160; i++) floats[at.digits / 4 + i] = random() - 0.5;
      integers.set(table, at.lists / 4);
      const [a, b] = [at.digits, at.digits + 320];
      const where = [4 * size, stride, at.lists, blockTokens, count];
      const read = (from: number, length: number): Float32Array => floats.slice(from / 4, from / 4 + length);
      compute.scoreKeysOfTwo(a, b, at.out, at.out + 256, at.x, ...where, 0.5);
      const pair = [read(at.out, count), read(at.out + 256, count)];
      for (const [i, query] of [a, b].entries()) {
        compute.scoreKeys(query, at.out, at.x, ...where, 0.5);
        expect(read(at.out, count)).toEqual(pair[i]);
        for (let t = 0; t < count; t++) {
          const row = at.x / 4 + 80 * (table[Math.floor(t / 8)]! * 8 + (t % 8));
          let expected = 0;
          for (let c = 0; c < size; c++) expected += floats[row + c]! * floats[query / 4 + c]!;
          expect(pair[i]![t]).toBeCloseTo(expected / 2, 5);
        }
      }
      for (const [i, room] of [at.out, at.out + 256].entries()) {
        floats.fill(0, room / 4, room / 4 + 32);
        floats.set(pair[i]!, room / 4);
      }
      const sums = [at.out + 1024, at.out + 2048] as const;
      compute.sumValuesOfTwo(at.out, at.out + 256, ...sums, at.x, ...where, 1);
      for (const [i, sum] of sums.entries()) {
        const together = read(sum, size);
        // the first block, then the rest upon it
        compute.sumValues(at.out + 256 * i, sum, at.x, 4 * size, stride, at.lists, blockTokens, Math.min(8, count), 1);
        if (count > 8)
          compute.sumValues(
            at.out + 256 * i + 32,
            sum,
            at.x,
            4 * size,
            stride,
            at.lists + 4,
            blockTokens,
            count - 8,
            0,
          );
        expect(read(sum, size)).toEqual(together);
        for (let c = 0; c < size; c++) {
          let expected = 0;
          for (let t = 0; t < count; t++)
            expected += pair[i]![t]! * floats[at.x / 4 + 80 * (table[Math.floor(t / 8)]! * 8 + (t % 8)) + c]!;
          expect(together[c]).toBeCloseTo(expected, 4);
        }
      }
    }
  });
});
