import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { needs } from "@tessera/testkit";
import fc from "fast-check";
import { randomStream } from "../../random-encoder.js";
import { softwareDriver, withoutDriver } from "./driver.fixture.js";
import { geluErf, geluTanh } from "./generator-twin.fixture.js";
import type { KernelRun } from "./kernel-process.fixture.js";
import { softmaxAttention, stickAttention } from "./kernels/attention.js";
import { combine, expertHistogram, expertScatter, expertTiles, router } from "./kernels/experts.js";
import { type Activation, matmul, tile } from "./kernels/matmul.js";
import { norm } from "./kernels/rows.js";
import { halves } from "./weights.js";

const onDevice = needs(softwareDriver !== undefined, withoutDriver);

let child: ChildProcess;
beforeAll(async () => {
  if (softwareDriver === undefined) return;
  child = fork(fileURLToPath(new URL("./kernel-process.fixture.ts", import.meta.url)), {
    serialization: "advanced",
    env: {
      ...process.env,
      VK_DRIVER_FILES: softwareDriver,
      VK_ICD_FILENAMES: softwareDriver,
      LD_LIBRARY_PATH: dirname(softwareDriver),
    },
  });
  await once(child, "message");
});
afterAll(() => {
  child?.disconnect();
});

/** Runs kernels; what is read back comes as floats or whole numbers, as it went in. */
async function run(request: Omit<KernelRun, "number">): Promise<(Float32Array | Uint32Array)[]> {
  child.send({ ...request, number: 0 });
  const [reply] = (await once(child, "message")) as [{ answers?: Uint8Array[]; error?: string }];
  if (reply.error !== undefined) throw new Error(reply.error);
  return reply.answers!.map((bytes, i) => {
    const buffer = Uint8Array.from(bytes).buffer;
    return request.buffers[request.read[i]!]! instanceof Float32Array
      ? new Float32Array(buffer)
      : new Uint32Array(buffer);
  });
}

const poisoned = (length: number): Float32Array => new Float32Array(length).fill(Number.NaN);
const floats = (random: () => number, length: number): Float32Array =>
  Float32Array.from({ length }, () => 2 * random() - 1);
const expectClose = (actual: ArrayLike<number>, expected: readonly number[], tolerance = 1e-4): void => {
  expect(actual).toHaveLength(expected.length);
  for (const [i, value] of expected.entries())
    if (!(Math.abs(actual[i]! - value) <= tolerance * Math.max(1, Math.abs(value))))
      throw new Error(`at ${i}: ${actual[i]} instead of ${value}`);
};
const check = async (property: fc.IAsyncProperty<[number, number, number, number]>): Promise<void> =>
  fc.assert(property, { numRuns: 4, endOnFailure: true });
const size = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });
const seeds = fc.integer({ min: 1, max: 1e9 });

const acts: Record<Activation, (z: number, next: number) => number> = {
  none: (z) => z,
  "gelu-tanh": geluTanh,
  "gelu-erf": geluErf,
  gated: (z, next) => (z / (1 + Math.exp(-z))) * next,
};

describe("kernels, beside their twins, into poisoned outputs", () => {
  for (const activation of ["none", "gelu-tanh", "gelu-erf", "gated"] as const)
    onDevice(`matrix product: ${activation}`, async () => {
      await check(
        fc.asyncProperty(size(40), size(50), size(24), seeds, async (rows, inputs, half, seed) => {
          const outputs = 2 * half;
          const width = activation === "gated" ? half : outputs;
          const residual = seed % 2 === 0;
          const random = randomStream(seed);
          const x = floats(random, rows * inputs);
          const w = floats(random, outputs * inputs);
          const bias = floats(random, outputs).map((value) => 4 * value);
          const before = residual ? floats(random, rows * width) : poisoned(rows * width);
          const [y] = await run({
            kernels: [
              {
                kernel: matmul({ inputs, outputs, rows: "tokens", bias: true, activation, residual }),
                groups: [Math.ceil(rows / tile), Math.ceil(outputs / tile)],
              },
            ],
            buffers: { counts: Uint32Array.of(rows, 0, 0, 0), x, w, bias, y: before },
            read: ["y"],
          });
          const z = (r: number, o: number): number => {
            let sum = bias[o]!;
            for (let i = 0; i < inputs; i++) sum += x[r * inputs + i]! * w[o * inputs + i]!;
            return sum;
          };
          const expected = Array.from({ length: rows * width }, (_, at) => {
            const [r, c] = [Math.floor(at / width), at % width];
            const value =
              activation === "gated" ? acts.gated(z(r, 2 * c), z(r, 2 * c + 1)) : acts[activation](z(r, c), 0);
            return residual ? before[at]! + value : value;
          });
          expectClose(y!, expected);
        }),
      );
    });

  onDevice("norms", async () => {
    await check(
      fc.asyncProperty(size(20), size(130), size(2), seeds, async (rows, hidden, kind, seed) => {
        const random = randomStream(seed);
        const x = floats(random, rows * hidden);
        const weight = floats(random, hidden);
        const layer = kind === 1;
        const bias = layer ? floats(random, hidden) : undefined;
        const [y] = await run({
          kernels: [
            { kernel: norm(hidden, { kind: layer ? "layer" : "rms", epsilon: 1e-5, bias }, "tokens"), groups: [rows] },
          ],
          buffers: {
            counts: Uint32Array.of(rows, 0, 0, 0),
            x,
            weight,
            ...(bias && { bias }),
            y: poisoned(rows * hidden),
          },
          read: ["y"],
        });
        const expected: number[] = [];
        for (let r = 0; r < rows; r++) {
          const row = [...x.subarray(r * hidden, (r + 1) * hidden)];
          const mean = layer ? row.reduce((a, b) => a + b, 0) / hidden : 0;
          const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / hidden;
          for (const [i, value] of row.entries())
            expected.push(((value - mean) / Math.sqrt(variance + 1e-5)) * weight[i]! + (bias?.[i] ?? 0));
        }
        expectClose(y!, expected);
      }),
    );
  });

  onDevice("bidirectional attention over texts of any lengths", async () => {
    await check(
      fc.asyncProperty(size(150), size(5), size(40), seeds, async (long, short, pairs, seed) => {
        const random = randomStream(seed);
        const [heads, shared, width] = [4, 2, 2 * pairs];
        const offsets = Uint32Array.of(0, short, short + long);
        const tokens = short + long;
        const text = Uint32Array.from({ length: tokens }, (_, t) => (t < short ? 0 : 1));
        const row = (heads + 2 * shared) * width;
        const x = floats(random, tokens * row).map((value) => 3 * value);
        const [y] = await run({
          kernels: [{ kernel: softmaxAttention(heads, shared, width), groups: [tokens, heads] }],
          buffers: { counts: Uint32Array.of(tokens, 2, 0, 0), text, offsets, x, y: poisoned(tokens * heads * width) },
          read: ["y"],
        });
        const expected = Array.from({ length: tokens * heads * width }, () => 0);
        for (let t = 0; t < tokens; t++)
          for (let head = 0; head < heads; head++) {
            const key = (heads + Math.floor(head / 2)) * width;
            const weights: number[] = [];
            for (let u = offsets[text[t]!]!; u < offsets[text[t]! + 1]!; u++) {
              let dot = 0;
              for (let i = 0; i < width; i++) dot += x[t * row + head * width + i]! * x[u * row + key + i]!;
              weights.push(Math.exp(dot / Math.sqrt(width)));
            }
            const total = weights.reduce((a, b) => a + b, 0);
            for (const [j, weight] of weights.entries())
              for (let i = 0; i < width; i++)
                expected[(t * heads + head) * width + i]! +=
                  (weight / total) * x[(offsets[text[t]!]! + j) * row + key + shared * width + i]!;
          }
        expectClose(y!, expected, 1e-3);
      }),
    );
  });

  onDevice("stick-breaking attention does not read what lies behind a used-up stick", async () => {
    // the newest of 200 keys takes the whole stick; all older blocks are poisoned, and the table leads nowhere there
    const [width, blockTokens, stride] = [4, 8, 25];
    const cache = poisoned(stride * blockTokens * 2 * width);
    const q = new Float32Array(width).fill(40);
    for (let t = 120; t < 200; t++)
      cache.fill(10, t * 2 * width, t * 2 * width + width).fill(t, t * 2 * width + width, (t + 1) * 2 * width);
    const [y] = await run({
      kernels: [
        {
          kernel: stickAttention({ heads: 1, size: width, top: 1, blockTokens, stride, current: true, least: 1e-8 }),
          groups: [1, 1],
        },
      ],
      buffers: {
        counts: Uint32Array.of(1, 1, 0, 0),
        text: Uint32Array.of(0),
        positions: Uint32Array.of(199),
        blocks: Uint32Array.from({ length: stride }, (_, i) => i),
        q,
        cache,
        y: poisoned(width),
      },
      read: ["y"],
    });
    expectClose(y!, [199, 199, 199, 199]);
  });

  onDevice("routing, the sort of places by expert, grouped products and their combination", async () => {
    await check(
      fc.asyncProperty(size(90), size(9), size(40), seeds, async (tokens, experts, inputs, seed) => {
        const random = randomStream(seed);
        const top = 1 + (seed % Math.min(3, experts));
        const outputs = 20;
        // whole numbers, so that there are ties
        const logits = Float32Array.from({ length: tokens * experts }, () => Math.floor(6 * random()));
        const x = floats(random, tokens * inputs);
        const w = floats(random, experts * outputs * inputs);
        const places = tokens * top;
        const tiles = experts + Math.ceil(places / tile);
        const before = floats(random, tokens * outputs);
        const shared = { counts: Uint32Array.of(tokens, 0, 0, 0), chosen: new Uint32Array(places).fill(2 ** 31) };
        const [chosen, weights, order, dispatch, cursors, tileRows] = await run({
          kernels: [
            { kernel: router(experts, top, "learned"), groups: [Math.ceil(tokens / 64)] },
            { kernel: expertHistogram(top), groups: [Math.ceil(places / 64)] },
            { kernel: expertTiles(experts, [7]), groups: [1] },
            { kernel: expertScatter(top), groups: [Math.ceil(places / 64)] },
          ],
          buffers: {
            ...shared,
            logits,
            weights: poisoned(places),
            histogram: new Uint32Array(experts),
            cursors: new Uint32Array(experts).fill(2 ** 31),
            tiles: new Uint32Array(3 * tiles).fill(2 ** 31),
            dispatch: new Uint32Array(3),
            order: new Uint32Array(places).fill(2 ** 31),
          },
          read: ["chosen", "weights", "order", "dispatch", "cursors", "tiles"],
        });
        const expected: { chosen: number[]; weights: number[] } = { chosen: [], weights: [] };
        for (let t = 0; t < tokens; t++) {
          const row = [...logits.subarray(t * experts, (t + 1) * experts)];
          const total = row.reduce((sum, z) => sum + Math.exp(z), 0);
          const best = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b).slice(0, top);
          expected.chosen.push(...best);
          expected.weights.push(...best.map((e) => Math.exp(row[e]!) / total));
        }
        expect([...chosen!]).toEqual(expected.chosen);
        expectClose(weights!, expected.weights);
        expect([...order!].sort((a, b) => a - b)).toEqual(Array.from({ length: places }, (_, i) => i));
        const byExpert = [...order!].map((place) => expected.chosen[place]!);
        expect(byExpert).toEqual([...byExpert].sort((a, b) => a - b));
        expect(dispatch![1]).toBe(7);

        const [sum] = await run({
          kernels: [
            {
              kernel: matmul({ inputs, outputs, rows: "tokens", grouped: { top, input: "token" } }),
              groups: [dispatch![0]!, Math.ceil(outputs / tile)],
            },
          ],
          buffers: { tiles: tileRows!, order: order!, x, w, y: poisoned(places * outputs), cursors: cursors! },
          read: ["y"],
        });
        const y = Array.from({ length: places * outputs }, (_, at) => {
          const [place, o] = [Math.floor(at / outputs), at % outputs];
          let dot = 0;
          for (let i = 0; i < inputs; i++)
            dot += x[Math.floor(place / top) * inputs + i]! * w[(expected.chosen[place]! * outputs + o) * inputs + i]!;
          return dot;
        });
        expectClose(sum!, y);

        const [combined] = await run({
          kernels: [{ kernel: combine(outputs, top), groups: [tokens] }],
          buffers: { counts: shared.counts, weights: weights!, y: sum!, x: before },
          read: ["x"],
        });
        expectClose(
          combined!,
          Array.from(before, (value, at) => {
            let total = value;
            for (let j = 0; j < top; j++) {
              const place = Math.floor(at / outputs) * top + j;
              total += expected.weights[place]! * y[place * outputs + (at % outputs)]!;
            }
            return total;
          }),
        );
      }),
    );
  });
});

it("rounds to half precision as IEEE 754 does", () => {
  const cases: [number, number][] = [
    [0, 0],
    [-0, 0x8000],
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65519, 0x7bff],
    [65520, 0x7c00],
    [2 ** -24, 1],
    [2 ** -25, 0],
    [2 ** -14, 0x400],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [2047.9, 0x6800],
    [Number.NaN, 0x7e00],
  ];
  expect([...halves(Float32Array.from(cases, ([value]) => value))]).toEqual(cases.map(([, bits]) => bits));
});
