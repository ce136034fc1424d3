import { afterAll, describe, expect } from "@jest/globals";
import { drawToken } from "../../../decoding/draw.js";
import type { Sampling } from "../../engine.js";
import { referenceSample } from "../decoder-reference.fixture.js";
import {
  cases,
  closeDevices,
  expectClose,
  floats,
  onBoth,
  onDevice,
  one,
  poisoned,
  rounded,
  run,
  stored,
} from "./device.fixture.js";
import { gatherRows, sample, samplingWords, score } from "./sample.js";

afterAll(closeDevices);

describe("drawing on the device, beside a twin that sorts, into poisoned outputs", () => {
  onDevice("temperature, top-p, allowed ids, ties and alternatives", async () => {
    await cases(4, [700, 5, 3, 1], async ([vocabulary, alternatives, steps], random) => {
      const rows = 24;
      // of few different values there are ties, of which the lower id comes first
      const logits = Float32Array.from({ length: rows * vocabulary }, () =>
        steps === 1 ? 6 * random() : Math.floor(4 * random()),
      );
      const words = Math.ceil(vocabulary / 32);
      const masks = new Uint32Array(rows * words).fill(0xffffffff);
      const settings = new Float32Array(rows * samplingWords);
      const wanted = Array.from({ length: rows }, (_, row): Sampling => {
        const allowed = masks.subarray(row * words, (row + 1) * words);
        if (row % 2 === 0) for (let i = 1; i < words; i++) allowed[i] = Math.floor(random() * 2 ** 32);
        const one: Sampling = {
          temperature: row % 4 === 0 ? 0 : 0.5 + random(),
          topP: row % 3 === 0 ? 1 : 0.1 + 0.85 * random(),
          random: random(),
          allowed,
        };
        settings.set([one.temperature, one.topP, one.random], row * samplingWords);
        return one;
      });
      const { ids, logprobs } = await run({
        kernels: [one(sample(vocabulary, alternatives), rows)],
        buffers: {
          logits,
          settings: new Uint32Array(settings.buffer),
          masks,
          ids: new Uint32Array(rows * (1 + alternatives)).fill(2 ** 31),
          logprobs: poisoned(rows * (1 + alternatives)),
        },
        read: ["ids", "logprobs"],
      });
      let same = 0;
      for (const [row, sampling] of wanted.entries()) {
        const own = logits.subarray(row * vocabulary, (row + 1) * vocabulary);
        const at = row * (1 + alternatives);
        const drawn = referenceSample([...own], sampling);
        if (ids![at] === drawn.id) same += 1;
        // a number that falls on the edge between two tokens may be rounded to either
        else expect(isNeighbour([...own], sampling, ids![at]!)).toBe(true);
        expect(Math.abs(logprobs![at]! - logprobOf([...own], sampling, ids![at]!))).toBeLessThan(1e-4);
        const best = drawToken(own, { ...sampling, alternatives }).alternatives;
        expect([...ids!.slice(at + 1, at + 1 + best.length)]).toEqual(best.map(({ id }) => id));
        expectClose(
          logprobs!.slice(at + 1, at + 1 + best.length),
          best.map(({ logprob }) => logprob),
        );
      }
      expect(same).toBeGreaterThanOrEqual(rows - 1);
    });
  });

  onDevice("scores of given ids", async () => {
    await cases(2, [9, 300, 1, 1], async ([rows, vocabulary], random) => {
      const logits = floats(random, rows * vocabulary).map((value) => 20 * value);
      const targets = Uint32Array.from({ length: rows }, () => Math.floor(random() * vocabulary));
      const { scores } = await run({
        kernels: [one(score(vocabulary), rows)],
        buffers: { counts: Uint32Array.of(0, 0, rows, 0), logits, targets, scores: poisoned(rows) },
        read: ["scores"],
      });
      const expected = [...targets].map((target, row) => {
        const own = [...logits.subarray(row * vocabulary, (row + 1) * vocabulary)];
        return own[target]! - Math.log(own.reduce((sum, z) => sum + Math.exp(z), 0));
      });
      expectClose(scores, expected);
    });
  });

  onBoth("rows that are wanted", async (numbers) => {
    await cases(2, [12, 70, 5, 1], async ([tokens, hidden, drawn], random) => {
      const x = rounded(floats(random, tokens * hidden), numbers);
      const rows = Uint32Array.from({ length: drawn }, () => Math.floor(random() * tokens));
      const { y } = await run(
        {
          kernels: [one(gatherRows(hidden, numbers), drawn)],
          buffers: {
            counts: Uint32Array.of(tokens, 0, drawn, 0),
            rows,
            x: stored(x, numbers),
            y: poisoned(drawn * hidden, numbers),
          },
          read: ["y"],
        },
        numbers,
      );
      expectClose(
        y,
        [...rows].flatMap((row) => [...x.subarray(row * hidden, (row + 1) * hidden)]),
        numbers,
      );
    });
  });
});

const logprobOf = (logits: readonly number[], { allowed }: Sampling, id: number): number => {
  const open = logits.filter((_, i) => ((allowed![i >> 5]! >>> (i & 31)) & 1) === 1);
  return logits[id]! - Math.log(open.reduce((sum, z) => sum + Math.exp(z), 0));
};

/** Whether a slightly smaller or larger random number draws this id. */
const isNeighbour = (logits: readonly number[], sampling: Sampling, id: number): boolean =>
  [-1e-5, 1e-5].some(
    (step) =>
      referenceSample(logits, { ...sampling, random: Math.min(Math.max(sampling.random + step, 0), 0.999999) }).id ===
      id,
  );
