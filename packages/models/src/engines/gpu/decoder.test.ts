import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect } from "@jest/globals";
import { mulberry32 } from "@tessera/core/internal";
import { halfDriver, isLong, needs, softwareDriver, withoutDriver, withoutHalf } from "@tessera/testkit";
import type { DecoderModel } from "../../architectures/decoder.js";
import { decoderModel, readDecoderGolden } from "../../architectures/tessera-decoder.js";
import { readBundle } from "../../formats/bundle.js";
import { type DecoderBatch, type DecoderSession, ragged, type Sampling } from "../engine.js";
import { likeliest, readSequence } from "../reference/decoder.js";
import { randomDecoderModel, referenceLogits, referenceSample } from "./decoder-reference.fixture.js";
import { type GpuEngine, gpuEngine } from "./engine.js";
import { selfTest } from "./self-test.js";

const onDevice = needs(softwareDriver !== undefined, withoutDriver);
const onHalf = needs(halfDriver !== undefined, withoutHalf);

let engine: GpuEngine;
beforeAll(async () => {
  if (softwareDriver !== undefined) engine = await gpuEngine({ driver: softwareDriver });
});
afterAll(async () => {
  await engine?.close();
});

const greedy: Sampling = { temperature: 0, topP: 1, random: 0 };
const blockTokens = 8;

/** Cache blocks in a scattered order, as a server deals them. */
const blocksOf = (sequence: number): Int32Array =>
  Int32Array.from({ length: 20 }, (_, i) => ((i * 3 + sequence) * 7) % 61);
const piece = (
  parts: { sequence: number; cached: number; ids: readonly number[]; sampling?: Sampling; scored?: boolean }[],
): DecoderBatch => ({
  ...ragged(parts.map(({ ids }) => ids)),
  cached: Int32Array.from(parts, ({ cached }) => cached),
  blocks: parts.map(({ sequence }) => blocksOf(sequence)),
  sampling: parts.map(({ sampling }) => sampling),
  scored: parts.map(({ scored }) => scored === true),
});
const logprobOf = (logits: readonly number[], id: number): number =>
  logits[id]! - Math.max(...logits) - Math.log(logits.reduce((sum, z) => sum + Math.exp(z - Math.max(...logits)), 0));
const randomIds = (count: number, seed: number): number[] => {
  const random = mulberry32(seed);
  return Array.from({ length: count }, () => Math.floor(random() * 50));
};

async function withModel(model: DecoderModel, work: (session: DecoderSession) => Promise<void>): Promise<void> {
  const session = await engine.loadDecoder(model, { blocks: 61, blockTokens });
  try {
    await work(session);
  } finally {
    await session.close();
  }
}

describe("a decoder on the GPU engine", () => {
  for (const shape of [
    { routing: "learned", keyValue: true, current: true },
    { routing: "average", keyValue: false, current: true },
    // without experts the golden cases of dense-toy, or this in npm run test:long
    ...(isLong ? [{ routing: "none", keyValue: true, current: false } as const] : []),
  ] as const)
    onDevice(`agrees with its twin, prompts in pieces and token by token: ${JSON.stringify(shape)}`, async () => {
      const model = randomDecoderModel(3, shape);
      await withModel(model, async (session) => {
        // a long and a short prompt; the long one comes in pieces, beside the other's tokens
        const long = randomIds(90, 1);
        const short = randomIds(5, 2);
        const expected = referenceLogits(model, long);
        const first = await session.step(piece([{ sequence: 0, cached: 0, ids: long.slice(0, 70), scored: true }]));
        expect(first.next[0]).toBe(-1);
        for (const [t, value] of first.scores![0]!.entries())
          expect(Math.abs(value - logprobOf(expected[t]!, long[t + 1]!))).toBeLessThan(1e-4);
        let result = await session.step(
          piece([
            { sequence: 1, cached: 0, ids: short, sampling: greedy },
            { sequence: 0, cached: 70, ids: long.slice(70), sampling: greedy },
          ]),
        );
        const texts = [short, long];
        for (let token = 0; token < 6; token++) {
          for (const [i, ids] of texts.entries()) {
            const { id, logprob } = referenceSample(referenceLogits(model, ids).at(-1)!, greedy);
            expect(result.next[i]).toBe(id);
            expect(Math.abs(result.logprob[i]! - logprob)).toBeLessThan(1e-4);
            ids.push(id);
          }
          result = await session.step(
            piece([
              { sequence: 1, cached: short.length - 1, ids: [short.at(-1)!], sampling: greedy },
              { sequence: 0, cached: long.length - 1, ids: [long.at(-1)!], sampling: greedy },
            ]),
          );
        }
      });
    });

  for (const name of ["moe-toy", "dense-toy"])
    onDevice(`reaches the golden cases of ${name}, and writes the same continuation`, async () => {
      const folder = fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
      const model = decoderModel(await readBundle(folder));
      const session = await engine.loadDecoder(model, { blocks: 64, blockTokens });
      for (const { ids, logprobs, greedy: written, margin } of (await readDecoderGolden(folder, model)).slice(
        0,
        isLong ? 3 : 2,
      )) {
        expect(Math.min(1, ...(margin ?? []))).toBeGreaterThan(1e-5);
        const blocks = [Int32Array.from({ length: Math.ceil((ids.length + 32) / blockTokens) }, (_, i) => 63 - i)];
        const shared = { blocks, sampling: [greedy] };
        let result = await session.step({ ...ragged([ids]), ...shared, cached: Int32Array.of(0), scored: [true] });
        for (const [t, value] of logprobs.entries())
          expect(Math.abs(result.scores![0]![t]! - value)).toBeLessThan(1e-4);
        for (const [i, expected] of written.slice(0, 8).entries()) {
          expect(result.next[0]).toBe(expected);
          result = await session.step({ ...ragged([[expected]]), ...shared, cached: Int32Array.of(ids.length + i) });
        }
      }
      await session.close();
    });

  onHalf("agrees in half precision on the likeliest token after at least 99 % of given tokens", async () => {
    // products on the units are compiled by the tests of kernels, in seconds each
    const half = await gpuEngine({ driver: halfDriver, units: false });
    try {
      expect(half.info.dtype).toBe("fp16");
      let [same, all] = [0, 0];
      for (const name of isLong ? ["moe-toy", "dense-toy"] : ["moe-toy"]) {
        const folder = fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
        const model = decoderModel(await readBundle(folder));
        const cases = (await readDecoderGolden(folder, model)).map(({ ids, greedy: written }) => [...ids, ...written]);
        const length = Math.min(...cases.map((ids) => ids.length));
        const perCase = Math.ceil(length / blockTokens);
        const session = await half.loadDecoder(model, { blocks: perCase * cases.length, blockTokens });
        const logits = cases.map((ids) => readSequence(model, ids.slice(0, length)).logits);
        for (let t = 0; t < length; t++) {
          const { next } = await session.step({
            ...ragged(cases.map((ids) => [ids[t]!])),
            cached: new Int32Array(cases.length).fill(t),
            blocks: cases.map((_, i) => Int32Array.from({ length: perCase }, (_block, b) => b * cases.length + i)),
            sampling: cases.map(() => greedy),
          });
          for (const [i, id] of next.entries()) if (id === likeliest(logits[i]![t]!)) same += 1;
          all += cases.length;
        }
        await session.close();
      }
      expect(all).toBeGreaterThan(isLong ? 190 : 95);
      expect(same / all).toBeGreaterThanOrEqual(0.99);
      if (isLong) expect(await selfTest(half)).toBeUndefined();
    } finally {
      expect(await half.close()).toBe(0);
    }
  });

  onDevice("draws as its twin does, with temperature, top-p, allowed ids and alternatives", async () => {
    const model = randomDecoderModel(5, { routing: "none", keyValue: true, current: true });
    await withModel(model, async (session) => {
      const random = mulberry32(9);
      const ids = randomIds(7, 4);
      const logits = referenceLogits(model, ids).at(-1)!;
      const sampling = Array.from({ length: 40 }, (_, i): Sampling => {
        const allowed = Uint32Array.of(random() * 2 ** 32, (random() * 2 ** 32) & 0x3ffff);
        return {
          temperature: i % 5 === 0 ? 0 : 0.3 + 1.5 * random(),
          topP: i % 3 === 0 ? 1 : 0.05 + 0.9 * random(),
          random: random(),
          allowed: i % 2 === 0 ? allowed : undefined,
          alternatives: i % 4 === 0 ? 3 : undefined,
        };
      });
      const { next, logprob, alternatives } = await session.step(
        piece(sampling.map((one, sequence) => ({ sequence: sequence % 3, cached: 0, ids, sampling: one }))),
      );
      for (const [i, one] of sampling.entries()) {
        const expected = referenceSample(logits, one);
        expect([i, next[i]]).toEqual([i, expected.id]);
        expect(Math.abs(logprob[i]! - expected.logprob)).toBeLessThan(1e-4);
        const best = alternatives![i];
        if (one.alternatives === undefined) expect(best).toBeUndefined();
        else {
          const open = [...logits.keys()].filter(
            (id) => !one.allowed || ((one.allowed[id >> 5]! >>> (id & 31)) & 1) === 1,
          );
          expect(best!.map(({ id }) => id)).toEqual(open.sort((a, b) => logits[b]! - logits[a]!).slice(0, 3));
          expect(best![0]!.logprob).toBeCloseTo(referenceSample(logits, { ...one, temperature: 0 }).logprob, 4);
        }
      }
    });
  });

  onDevice("refuses steps that do not fit, and caches beyond the budget", async () => {
    const model = randomDecoderModel(3, { routing: "none", keyValue: true, current: true });
    await withModel(model, async (session) => {
      for (const part of [
        { sequence: 0, cached: 0, ids: [50] },
        { sequence: 0, cached: 160, ids: [1] },
        { sequence: 0, cached: 0, ids: [] },
        { sequence: 0, cached: 0, ids: [1], sampling: { ...greedy, allowed: new Uint32Array(2) } },
        { sequence: 0, cached: 0, ids: [1], sampling: { ...greedy, random: 1 } },
      ])
        await expect(session.step(piece([part]))).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    });
    await expect(engine.loadDecoder(model, { blocks: 10_000_000, blockTokens: 16 })).rejects.toMatchObject({
      code: "OVERLOADED",
    });
  });

  onDevice("fails sequences whose cache was lost with the process, and serves new ones", async () => {
    const model = randomDecoderModel(3, { routing: "none", keyValue: true, current: true });
    await withModel(model, async (session) => {
      // of one token: the new process compiles few kernels
      const first = piece([{ sequence: 0, cached: 0, ids: [1], sampling: greedy }]);
      const second = piece([{ sequence: 0, cached: 1, ids: [4], sampling: greedy }]);
      const before = await session.step(first);
      process.kill(engine.process!, "SIGABRT");
      const lost = session.step(second);
      await expect(lost).rejects.toMatchObject({ code: "MODEL_FAILED" });
      await expect(session.step(second)).rejects.toMatchObject({ code: "MODEL_FAILED" });
      expect(await session.step(first)).toEqual(before);
    });
  });
});
