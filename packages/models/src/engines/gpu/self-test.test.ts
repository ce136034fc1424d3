import { expect, it } from "@jest/globals";
import type { DecoderResult, Engine } from "../engine.js";
import { referenceEngine } from "../reference/engine.js";
import { selfTest } from "./self-test.js";

/** An engine whose answers went through these. */
const changed = ({
  vectors = (each) => each,
  result = (each) => each,
}: {
  vectors?: (vectors: Float32Array) => Float32Array;
  result?: (result: DecoderResult, step: number) => DecoderResult;
}): Engine => ({
  ...referenceEngine(),
  async loadEncoder(model) {
    const session = await referenceEngine().loadEncoder(model);
    return { ...session, encode: async (batch, exit) => vectors(await session.encode(batch, exit)) };
  },
  async loadDecoder(model, cache) {
    const session = await referenceEngine().loadDecoder(model, cache);
    let steps = 0;
    return {
      blocks: session.blocks,
      blockTokens: session.blockTokens,
      step: async (batch) => result(await session.step(batch), steps++),
      close: () => session.close(),
    };
  },
});

it("passes the reference", async () => {
  expect(await selfTest(referenceEngine())).toBeUndefined();
});

it("finds encoders that compute wrongly, and engines that fail", async () => {
  expect(await selfTest(changed({ vectors: (vectors) => vectors.fill(Number.NaN) }))).toMatch(/cosine of NaN/);
  const one = (vectors: Float32Array): Float32Array => vectors.map((value, i) => (i === 48 ? 1 : value));
  expect(await selfTest(changed({ vectors: one }))).toMatch(/cosine/);
  const lost = (): never => {
    throw new Error("lost");
  };
  expect(await selfTest(changed({ vectors: lost }))).toBe("lost");
});

it("finds one wrong token in fp32, and some in other precisions", async () => {
  const wrong = (every: number) =>
    changed({
      result: (result, step) => ({
        ...result,
        next: result.next.map((id, i) => ((step * result.next.length + i) % every === 0 ? (id + 1) % 160 : id)),
      }),
    });
  const failure = await selfTest(wrong(101));
  expect(failure).toMatch(/^\d+ of \d+ greedy tokens/);
  expect(Number(/of (\d+)/.exec(failure!)![1])).toBeGreaterThan(90);
  const half = { kind: "gpu", device: "test", dtype: "fp16" } as const;
  expect(await selfTest({ ...wrong(3), info: half })).toMatch(/greedy tokens/);
});
