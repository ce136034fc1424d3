import { afterAll, describe } from "@jest/globals";
import { stickDecode, storeKeyValue } from "./attention.js";
import { attentionTile, type StickShape, softmaxAttention, stickPrefill } from "./attention-tiled.js";
import {
  cases,
  closeDevices,
  expectClose,
  floats,
  onBoth,
  one,
  poisoned,
  read,
  rounded,
  run,
  stored,
} from "./device.fixture.js";

afterAll(closeDevices);

describe("attention beside its twin, into poisoned outputs", () => {
  onBoth("softmax over texts of any lengths, several in a tile", async (numbers) => {
    await cases(numbers === "f32" ? 3 : 1, [80, 5, 20, 2], async ([long, short, pairs, groups], random) => {
      const [heads, shared, width] = [2 * groups, 2, 2 * pairs];
      const offsets = Uint32Array.of(0, short, short + long, short + long + 3);
      const tokens = short + long + 3;
      const text = Uint32Array.from({ length: tokens }, (_, t) => (t < short ? 0 : t < short + long ? 1 : 2));
      const row = (heads + 2 * shared) * width;
      const x = rounded(
        floats(random, tokens * row).map((value) => 3 * value),
        numbers,
      );
      const { y } = await run(
        {
          kernels: [one(softmaxAttention(heads, shared, width, numbers), Math.ceil(tokens / attentionTile), heads)],
          buffers: {
            counts: Uint32Array.of(tokens, 3, 0, 0),
            text,
            offsets,
            x: stored(x, numbers),
            y: poisoned(tokens * heads * width, numbers),
          },
          read: ["y"],
        },
        numbers,
      );
      const expected = new Float32Array(tokens * heads * width);
      for (let t = 0; t < tokens; t++)
        for (let head = 0; head < heads; head++) {
          const key = (heads + Math.floor(head / groups)) * width;
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
      expectClose(y, expected, numbers, 1e-3);
    });
  });

  onBoth("stick-breaking over a paged cache: pieces of prompts beside single tokens", async (numbers) => {
    await cases(numbers === "f32" ? 3 : 1, [70, 60, 10, 3], async ([piece, before, size, top], random) => {
      // the first sequence appends a piece of its prompt, the second one token; blocks lie scattered
      const [heads, blockTokens, stride] = [2, 4, 40];
      const width = heads * size;
      const current = piece % 2 === 0;
      const tokens = piece + 2;
      const cached = [before, 2 * before];
      const text = Uint32Array.from({ length: tokens }, (_, t) => (t < piece + 1 ? 0 : 1));
      const positions = Uint32Array.from({ length: tokens }, (_, t) => (t < piece + 1 ? before + t : 2 * before));
      const blocks = Uint32Array.from({ length: 2 * stride }, (_, i) => (i * 7) % (2 * stride));
      const placeOf = (sequence: number, position: number): number =>
        blocks[sequence * stride + Math.floor(position / blockTokens)]! * blockTokens + (position % blockTokens);
      const cache = rounded(poisonedFloats(2 * stride * blockTokens * 2 * width), numbers);
      for (const [sequence, length] of cached.entries())
        for (let t = 0; t < length; t++) {
          const at = placeOf(sequence, t) * 2 * width;
          cache.set(rounded(floats(random, 2 * width), numbers), at);
        }
      const fresh = rounded(floats(random, tokens * 2 * width), numbers);
      const q = rounded(
        floats(random, tokens * top * width).map((value) => 3 * value),
        numbers,
      );
      const shape: StickShape = { heads, size, top, blockTokens, stride, current, least: 1e-8, values: numbers };
      const tokensOfPiece = Math.floor(attentionTile / top);
      const pieces: number[] = [];
      for (let t = 0; t < piece + 1; t += tokensOfPiece) pieces.push(0, t, Math.min(t + tokensOfPiece, piece + 1));
      const { y, cache: written } = await run(
        {
          kernels: [
            one(storeKeyValue(width, { width: 2 * width, value: width }, { blockTokens, stride }, numbers), tokens),
            one(stickPrefill(shape), pieces.length / 3, heads),
            one(stickDecode(shape), top, heads),
          ],
          buffers: {
            counts: Uint32Array.of(tokens, 2, 0, 0),
            text,
            positions,
            blocks,
            pieces: Uint32Array.from(pieces),
            singles: Uint32Array.of(tokens - 1),
            x: stored(fresh, numbers),
            q: stored(q, numbers),
            cache: stored(cache, numbers),
            y: poisoned(tokens * top * width, numbers),
          },
          read: ["y", "cache"],
        },
        numbers,
      );
      for (let t = 0; t < tokens; t++)
        cache.set(fresh.subarray(t * 2 * width, (t + 1) * 2 * width), placeOf(text[t]!, positions[t]!) * 2 * width);
      expectSame(read(written), cache);
      const expected = new Float32Array(tokens * top * width);
      for (let row = 0; row < tokens * top; row++)
        for (let head = 0; head < heads; head++) {
          const token = Math.floor(row / top);
          let spent = 0;
          for (let u = positions[token]! - (current ? 0 : 1); u >= 0; u--) {
            const at = placeOf(text[token]!, u) * 2 * width + head * size;
            let logit = 0;
            for (let i = 0; i < size; i++) logit += q[row * width + head * size + i]! * cache[at + i]!;
            logit /= Math.sqrt(size);
            spent += Math.log1p(Math.exp(logit));
            for (let i = 0; i < size; i++)
              expected[row * width + head * size + i]! += Math.exp(logit - spent) * cache[at + width + i]!;
          }
        }
      expectClose(y, expected, numbers, 1e-3);
    });
  });

  for (const [kind, made] of [
    ["prompts", stickPrefill],
    ["single tokens", stickDecode],
  ] as const)
    onBoth(`stick-breaking does not read the blocks behind a used-up stick: ${kind}`, async (numbers) => {
      // the newest of 200 keys take the whole stick; all older blocks are poisoned
      const [width, blockTokens, stride] = [4, 8, 25];
      const cache = poisonedFloats(stride * blockTokens * 2 * width);
      const q = new Float32Array(width).fill(40);
      for (let t = 120; t < 200; t++)
        cache.fill(10, t * 2 * width, t * 2 * width + width).fill(t, t * 2 * width + width, (t + 1) * 2 * width);
      const { y } = await run(
        {
          kernels: [
            one(
              made({ heads: 1, size: width, top: 1, blockTokens, stride, current: true, least: 1e-8, values: numbers }),
              1,
            ),
          ],
          buffers: {
            text: Uint32Array.of(0),
            singles: Uint32Array.of(0),
            pieces: Uint32Array.of(0, 0, 1),
            positions: Uint32Array.of(199),
            blocks: Uint32Array.from({ length: stride }, (_, i) => i),
            q: stored(q, numbers),
            cache: stored(cache, numbers),
            y: poisoned(width, numbers),
          },
          read: ["y"],
        },
        numbers,
      );
      expectClose(y, [199, 199, 199, 199], numbers);
    });
});

const poisonedFloats = (length: number): Float32Array => poisoned(length) as Float32Array;

/** Bit for bit, with what was never written still poisoned. */
function expectSame(actual: Float32Array, expected: Float32Array): void {
  for (const [i, value] of expected.entries())
    if (!Object.is(actual[i], value)) throw new Error(`at ${i}: ${actual[i]} instead of ${value}`);
}
