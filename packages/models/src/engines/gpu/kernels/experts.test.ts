import { afterAll, describe, expect } from "@jest/globals";
import {
  cases,
  closeDevices,
  expectClose,
  floats,
  onBoth,
  onDevice,
  one,
  onUnits,
  poisoned,
  read,
  rounded,
  run,
  stored,
  units,
} from "./device.fixture.js";
import { combine, expertHistogram, expertScatter, expertTiles, router } from "./experts.js";
import { groupedRows, type Numbers } from "./kernel.js";
import { fewRowsMatmul } from "./matmul-few.js";
import { plainMatmul } from "./matmul-plain.js";
import type { Matmul, MatmulShape } from "./matmul-shape.js";
import { unitsMatmul } from "./matmul-units.js";

afterAll(closeDevices);

const nowhere = 2 ** 31;
const spoiled = (length: number): Uint32Array => new Uint32Array(length).fill(nowhere);

/** The best modules of a token, best first, equal ones to the lower index. */
const bestOf = (row: readonly number[], top: number): number[] =>
  [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b).slice(0, top);

describe("experts beside their twins, into poisoned outputs", () => {
  for (const kind of ["learned", "average"] as const)
    onDevice(`routing: ${kind}`, async () => {
      await cases(2, [90, 70, 4, 1], async ([tokens, experts, most], random) => {
        const top = Math.min(most, experts);
        // whole numbers, so that there are ties
        const logits = Float32Array.from({ length: tokens * experts }, () => Math.floor(6 * random()));
        const { chosen, weights } = await run({
          kernels: [one(router(experts, top, kind), Math.ceil(tokens / 64))],
          buffers: {
            counts: Uint32Array.of(tokens, 0, 0, 0),
            logits,
            chosen: spoiled(tokens * top),
            weights: poisoned(tokens * top),
          },
          read: ["chosen", "weights"],
        });
        const rows = Array.from({ length: tokens }, (_, t) => [...logits.subarray(t * experts, (t + 1) * experts)]);
        expect([...chosen!]).toEqual(rows.flatMap((row) => bestOf(row, top)));
        const shares = rows.flatMap((row) => {
          const total = row.reduce((sum, z) => sum + Math.exp(z), 0);
          return bestOf(row, top).map((e) => (kind === "learned" ? Math.exp(row[e]!) / total : 1));
        });
        expectClose(weights, shares);
      });
    });

  onDevice("histogram, scan and scatter: places by expert, tiles of rows, and sizes of dispatches", async () => {
    await cases(3, [150, 150, 3, 1], async ([tokens, experts, top], random) => {
      const places = tokens * top;
      const chosen = Uint32Array.from({ length: places }, () => Math.floor(random() ** 2 * experts));
      const tiles = experts + Math.ceil(places / groupedRows);
      const result = await run({
        kernels: [
          one(expertHistogram(top), Math.ceil(places / 64)),
          one(expertTiles(experts, [7, 3]), 1),
          one(expertScatter(top), Math.ceil(places / 64)),
        ],
        buffers: {
          counts: Uint32Array.of(tokens, 0, 0, 0),
          chosen,
          histogram: new Uint32Array(experts),
          cursors: spoiled(experts),
          tiles: spoiled(3 * tiles),
          dispatch: spoiled(6),
          order: spoiled(places),
        },
        read: ["order", "dispatch", "tiles"],
      });
      const sorted = [...chosen].sort((a, b) => a - b);
      expect([...result.order!].map((place) => chosen[place]!)).toEqual(sorted);
      expect(new Set(result.order!).size).toBe(places);
      const expected: number[] = [];
      for (let e = 0; e < experts; e++) {
        const [first, last] = [sorted.filter((each) => each < e).length, sorted.filter((each) => each <= e).length];
        for (let at = first; at < last; at += groupedRows) expected.push(e, at, Math.min(at + groupedRows, last));
      }
      expect([...result.tiles!.slice(0, expected.length)]).toEqual(expected);
      expect([...result.dispatch!]).toEqual([expected.length / 3, 7, 1, expected.length / 3, 3, 1]);
    });
  });

  const grouped: Record<string, (shape: MatmulShape, rows: number) => Matmul> = {
    plain: plainMatmul,
    "few rows": (shape) => fewRowsMatmul(shape, 4),
  };
  for (const [kind, made] of Object.entries(grouped))
    onBoth(`grouped products, ${kind}, dispatched indirectly, and their combination`, (numbers) =>
      checkGrouped(made, numbers),
    );
  onUnits("grouped products, on the units, dispatched indirectly, and their combination", () =>
    checkGrouped((shape, rows) => unitsMatmul(shape, rows, units!), "f16"),
  );
});

async function checkGrouped(made: (shape: MatmulShape, rows: number) => Matmul, numbers: Numbers): Promise<void> {
  await cases(numbers === "f32" ? 2 : 1, [90, 9, 10, 3], async ([tokens, experts, quarter, top], random) => {
    const [inputs, outputs, places] = [4 * quarter, 20, tokens * top];
    const chosen = Uint32Array.from({ length: places }, () => Math.floor(random() * experts));
    const x = rounded(floats(random, tokens * inputs), numbers);
    const w = rounded(floats(random, experts * outputs * inputs), numbers);
    const shares = floats(random, places);
    const before = floats(random, tokens * outputs);
    const input = top === 3 ? "place" : "token";
    const rows = input === "place" ? rounded(floats(random, places * inputs), numbers) : x;
    const shape: MatmulShape = {
      inputs,
      outputs,
      rows: "tokens",
      weights: numbers,
      from: numbers,
      to: numbers,
      grouped: { experts, top, input },
    };
    const product = made(shape, places);
    const sum = combine(outputs, top, numbers);
    const result = await run(
      {
        kernels: [
          one(expertHistogram(top), Math.ceil(places / 64)),
          one(expertTiles(experts, [Math.ceil(outputs / product.columns)]), 1),
          one(expertScatter(top), Math.ceil(places / 64)),
          { kernel: product.kernel, groups: { indirect: "dispatch", at: 0 } },
          { kernel: { ...sum, buffers: ["counts", "shares", "y", "total"] }, groups: [tokens] },
        ],
        buffers: {
          counts: Uint32Array.of(tokens, 0, 0, 0),
          chosen,
          histogram: new Uint32Array(experts),
          cursors: spoiled(experts),
          tiles: spoiled(3 * (experts + Math.ceil(places / groupedRows))),
          dispatch: spoiled(3),
          order: spoiled(places),
          x: stored(rows, numbers),
          w: stored(w, numbers),
          y: poisoned(places * outputs, numbers),
          shares,
          total: before,
        },
        read: ["y", "total"],
      },
      numbers,
    );
    const y = Array.from({ length: places * outputs }, (_, at) => {
      const [place, o] = [Math.floor(at / outputs), at % outputs];
      const row = input === "place" ? place : Math.floor(place / top);
      let dot = 0;
      for (let i = 0; i < inputs; i++) dot += rows[row * inputs + i]! * w[(chosen[place]! * outputs + o) * inputs + i]!;
      return dot;
    });
    expectClose(result.y, y, numbers);
    const written = read(result.y);
    expectClose(
      result.total,
      Array.from(before, (value, at) => {
        const [t, o] = [Math.floor(at / outputs), at % outputs];
        let total = value;
        for (let j = 0; j < top; j++) total += shares[t * top + j]! * written[(t * top + j) * outputs + o]!;
        return total;
      }),
    );
  });
}
