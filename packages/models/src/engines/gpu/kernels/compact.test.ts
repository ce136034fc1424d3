import { afterAll, describe, expect } from "@jest/globals";
import { compact, decide, moveRows } from "./compact.js";
import { cases, closeDevices, expectClose, floats, onDevice, one, poisoned, run } from "./device.fixture.js";
import { kernel } from "./kernel.js";

afterAll(closeDevices);

const nowhere = 2 ** 31;
const spoiled = (length: number): Uint32Array => new Uint32Array(length).fill(nowhere);

describe("texts leave on the device, beside a twin, into poisoned outputs", () => {
  onDevice("decision at a checkpoint", async () => {
    await cases(3, [70, 40, 9, 2], async ([texts, hidden, layer, first], random) => {
      const unit = (): Float32Array => {
        const values = floats(random, hidden);
        return values.map((value) => value / (Math.hypot(...values) || 1));
      };
      // the texts that are still here were others before: half of them are gone already
      const origin = Uint32Array.from({ length: texts }, (_, i) => 2 * i + 1);
      const before = Array.from({ length: 2 * texts }, unit);
      const now = Array.from({ length: texts }, unit);
      const margin = 0.3;
      const { results, exits, keep } = await run({
        kernels: [one(decide(hidden, layer, first === 1), texts)],
        buffers: {
          counts: Uint32Array.of(0, texts, 0, 0),
          margin: Float32Array.of(margin),
          origin,
          vectors: Float32Array.from(now.flatMap((vector) => [...vector])),
          results: Float32Array.from(before.flatMap((vector) => [...vector])),
          exits: spoiled(2 * texts),
          keep: spoiled(texts),
        },
        read: ["results", "exits", "keep"],
      });
      const cosine = (i: number): number => now[i]!.reduce((sum, value, j) => sum + value * before[2 * i + 1]![j]!, 0);
      for (let i = 0; i < texts; i++) {
        const close = first !== 1 && cosine(i) >= 1 - margin;
        if (Math.abs(cosine(i) - (1 - margin)) > 1e-5) expect(keep![i]).toBe(close ? 0 : 1);
      }
      const expected = before.map((vector, text) => (text % 2 === 1 ? now[(text - 1) / 2]! : vector));
      expectClose(
        results,
        expected.flatMap((vector) => [...vector]),
        "f32",
        0,
      );
      expect([...exits!]).toEqual(before.map((_, text) => (text % 2 === 1 ? layer : nowhere)));
    });
  });

  onDevice("those that stay close ranks, and later dispatches shrink with nothing read back", async () => {
    await cases(4, [150, 6, 20, 3], async ([texts, longest, hidden, share], random) => {
      const lengths = Array.from({ length: texts }, () => 1 + Math.floor(random() * longest));
      const offsets = Uint32Array.of(
        0,
        ...lengths.map(
          (
            (sum) => (length: number) =>
              (sum += length)
          )(0),
        ),
      );
      const keep = Uint32Array.from({ length: texts }, () => (random() < [0, 0.5, 1][share - 1]! ? 1 : 0));
      const tokens = offsets[texts]!;
      const origin = Uint32Array.from({ length: texts }, (_, i) => 3 * i);
      const x = floats(random, tokens * hidden);
      const shapes = [
        { rows: "texts", every: 1, across: 1 },
        { rows: "tokens", every: 32, across: 5 },
        { rows: "tokens", every: 1, across: 1 },
      ] as const;
      // counts how often it was started
      const marks = kernel(
        "marks",
        { mark: "atomic u32" },
        "@compute @workgroup_size(1) fn main() { atomicAdd(&mark[0], 1u); }",
      );
      const kept = [...keep.keys()].filter((i) => keep[i] === 1);
      const result = await run({
        kernels: [
          one(compact(shapes), 1),
          {
            kernel: { ...moveRows(hidden), buffers: ["counts", "newOffsets", "starts", "x", "y", "text"] },
            groups: { indirect: "dispatch", at: 0 },
          },
          { kernel: marks, groups: { indirect: "dispatch", at: 12 } },
        ],
        buffers: {
          keep,
          offsets,
          origin,
          counts: Uint32Array.of(tokens, texts, 7, 7),
          newOffsets: spoiled(texts + 1),
          newOrigin: spoiled(texts),
          starts: spoiled(texts),
          dispatch: spoiled(9),
          x,
          y: poisoned(tokens * hidden),
          text: spoiled(tokens),
          mark: new Uint32Array(1),
        },
        read: ["counts", "newOffsets", "newOrigin", "dispatch", "y", "text", "mark"],
      });
      const left = kept.reduce((sum, i) => sum + lengths[i]!, 0);
      expect([...result.counts!]).toEqual([left, kept.length, 7, 7]);
      expect([...result.newOrigin!.slice(0, kept.length)]).toEqual(kept.map((i) => 3 * i));
      let sum = 0;
      expect([...result.newOffsets!.slice(0, kept.length + 1)]).toEqual([0, ...kept.map((i) => (sum += lengths[i]!))]);
      expect([...result.dispatch!]).toEqual([kept.length, 1, 1, Math.ceil(left / 32), 5, 1, left, 1, 1]);
      expect(result.mark![0]).toBe(Math.ceil(left / 32) * 5);
      const rows = kept.flatMap((i) => [...x.subarray(offsets[i]! * hidden, offsets[i + 1]! * hidden)]);
      expectClose(result.y!.slice(0, rows.length), rows, "f32", 0);
      expect([...result.text!.slice(0, left)]).toEqual(kept.flatMap((i, to) => Array<number>(lengths[i]!).fill(to)));
    });
  });
});
