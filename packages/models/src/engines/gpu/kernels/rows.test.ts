import { afterAll, describe } from "@jest/globals";
import {
  cases,
  closeDevices,
  expectClose,
  floats,
  onBoth,
  one,
  poisoned,
  rounded,
  run,
  stored,
} from "./device.fixture.js";
import { embedding, norm, pool, rope, unitRows } from "./rows.js";

afterAll(closeDevices);

describe("kernels of rows beside their twins, into poisoned outputs", () => {
  onBoth("embedding", async (numbers) => {
    await cases(2, [20, 130, 30, 1], async ([tokens, hidden, vocabulary], random) => {
      const table = rounded(floats(random, vocabulary * hidden), numbers);
      const ids = Uint32Array.from({ length: tokens }, () => Math.floor(random() * vocabulary));
      const { x } = await run(
        {
          kernels: [one(embedding(hidden, numbers), tokens)],
          buffers: {
            counts: Uint32Array.of(tokens, 0, 0, 0),
            ids,
            table: stored(table, numbers),
            x: poisoned(tokens * hidden),
          },
          read: ["x"],
        },
        numbers,
      );
      expectClose(
        x,
        [...ids].flatMap((id) => [...table.subarray(id * hidden, (id + 1) * hidden)]),
        "f32",
        0,
      );
    });
  });

  onBoth("norms", async (numbers) => {
    await cases(numbers === "f32" ? 4 : 2, [20, 130, 2, 1], async ([rows, hidden, kind], random) => {
      const x = floats(random, rows * hidden);
      const weight = floats(random, hidden);
      const layer = kind === 1;
      const bias = layer ? floats(random, hidden) : undefined;
      const made = norm(hidden, { kind: layer ? "layer" : "rms", epsilon: 1e-5, bias }, "tokens", numbers);
      const { y } = await run(
        {
          kernels: [one(made, rows)],
          buffers: {
            counts: Uint32Array.of(rows, 0, 0, 0),
            x,
            weight,
            ...(bias && { bias }),
            y: poisoned(rows * hidden, numbers),
          },
          read: ["y"],
        },
        numbers,
      );
      const expected: number[] = [];
      for (let r = 0; r < rows; r++) {
        const row = [...x.subarray(r * hidden, (r + 1) * hidden)];
        const mean = layer ? row.reduce((a, b) => a + b, 0) / hidden : 0;
        const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / hidden;
        for (const [i, value] of row.entries())
          expected.push(((value - mean) / Math.sqrt(variance + 1e-5)) * weight[i]! + (bias?.[i] ?? 0));
      }
      expectClose(y, expected, numbers);
    });
  });

  onBoth("rotary positions, within each text", async (numbers) => {
    await cases(2, [30, 5, 10, 3], async ([long, short, pairs, heads], random) => {
      const size = 2 * pairs;
      const width = (heads + 1) * size;
      const tokens = short + long;
      const offsets = Uint32Array.of(0, short, tokens);
      const text = Uint32Array.from({ length: tokens }, (_, t) => (t < short ? 0 : 1));
      const x = rounded(floats(random, tokens * width), numbers);
      const angle = (position: number, j: number): number => position * 10000 ** (-j / pairs);
      const angles = Float32Array.from({ length: tokens * size }, (_, at) => {
        const [position, place] = [Math.floor(at / size), at % size];
        return (place % 2 === 0 ? Math.cos : Math.sin)(angle(position, Math.floor(place / 2)));
      });
      const { x: turned } = await run(
        {
          kernels: [one(rope(width, heads, size, numbers), tokens)],
          buffers: { counts: Uint32Array.of(tokens, 2, 0, 0), text, offsets, angles, x: stored(x, numbers) },
          read: ["x"],
        },
        numbers,
      );
      // each pair is a complex number, turned by its angle; the last head's worth of columns stays
      const expected = x.slice();
      for (let t = 0; t < tokens; t++)
        for (let head = 0; head < heads; head++)
          for (let j = 0; j < pairs; j++) {
            const at = t * width + head * size + j;
            const length = Math.hypot(x[at]!, x[at + pairs]!);
            const turn = Math.atan2(x[at + pairs]!, x[at]!) + angle(t - offsets[text[t]!]!, j);
            expected[at] = length * Math.cos(turn);
            expected[at + pairs] = length * Math.sin(turn);
          }
      expectClose(turned, expected, numbers);
    });
  });

  onBoth("pooling by the mean and by the last token, at unit length", async (numbers) => {
    await cases(2, [30, 9, 90, 2], async ([long, short, hidden, kind], random) => {
      const offsets = Uint32Array.of(0, short, short + long, short + long + 1);
      const texts = offsets.length - 1;
      const x = rounded(floats(random, offsets[texts]! * hidden), numbers);
      // a text of nothing but zeros has no direction: it stays zero
      x.fill(0, (short + long) * hidden);
      const pooling = kind === 1 ? "mean" : "last";
      const { pooled, y } = await run(
        {
          kernels: [
            { kernel: renamed(pool(hidden, pooling, numbers, "f32"), { y: "pooled" }), groups: [texts] },
            { kernel: renamed(unitRows(hidden), { x: "pooled" }), groups: [texts] },
          ],
          buffers: {
            counts: Uint32Array.of(0, texts, 0, 0),
            offsets,
            x: stored(x, numbers),
            pooled: poisoned(texts * hidden),
            y: poisoned(texts * hidden),
          },
          read: ["pooled", "y"],
        },
        numbers,
      );
      const expected: number[] = [];
      const unit: number[] = [];
      for (let i = 0; i < texts; i++) {
        const rows = Array.from({ length: offsets[i + 1]! - offsets[i]! }, (_, t) => offsets[i]! + t);
        const used = kind === 1 ? rows : rows.slice(-1);
        const row = Array.from(
          { length: hidden },
          (_, j) => used.reduce((sum, t) => sum + x[t * hidden + j]!, 0) / used.length,
        );
        const length = Math.hypot(...row) || 1;
        expected.push(...row);
        unit.push(...row.map((value) => value / length));
      }
      expectClose(pooled, expected);
      expectClose(y, unit);
    });
  });
});

/** A kernel whose buffers have other names here. */
const renamed = <K extends { readonly buffers: readonly string[] }>(kernel: K, names: Record<string, string>): K => ({
  ...kernel,
  buffers: kernel.buffers.map((name) => names[name] ?? name),
});
