import { fileURLToPath } from "node:url";
import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { decoderModel, readDecoderGolden } from "../../architectures/tessera-decoder.js";
import { drawToken } from "../../decoding/draw.js";
import { readBundle } from "../../formats/bundle.js";
import { type DecoderSession, ragged, type Sampling } from "../engine.js";
import { randomDecoderModel, referenceLogits, referenceSample } from "../gpu/decoder-reference.fixture.js";
import { referenceEngine } from "./engine.js";

const greedy: Sampling = { temperature: 0, topP: 1, random: 0 };
const model = randomDecoderModel(3, { routing: "learned", keyValue: true, current: true });
const open = (blocks = 16): Promise<DecoderSession> => referenceEngine().loadDecoder(model, { blocks, blockTokens: 4 });
const one = (ids: readonly number[], cached: number, blocks: readonly number[], sampling?: Sampling) => ({
  ...ragged([ids]),
  cached: Int32Array.of(cached),
  blocks: [Int32Array.from(blocks)],
  sampling: [sampling],
});

describe("drawing a token", () => {
  it("agrees with a twin that takes the weights off one by one, over logits, temperatures, nuclei and masks", () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -8, max: 8, noNaN: true }), { minLength: 1, maxLength: 40 }),
        fc.constantFrom(0, 0.3, 1, 2),
        fc.double({ min: 0.05, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.option(fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }), { nil: undefined }),
        (values, temperature, topP, random, mask) => {
          const allowed = mask && new Uint32Array(2);
          if (allowed) for (let id = 0; id < values.length; id++) if (mask[id]) allowed[id >> 5]! |= 1 << (id & 31);
          fc.pre(allowed === undefined || allowed.some((word) => word !== 0));
          const logits = Float32Array.from(values);
          const sampling = { temperature, topP, random, allowed };
          const { drawn, alternatives } = drawToken(logits, { ...sampling, alternatives: 3 });
          const twin = referenceSample([...logits], sampling);
          // one rounding may move the border of two tokens by a hair
          if (drawn.id !== twin.id)
            expect(referenceSample([...logits], { ...sampling, random: Math.max(0, random - 1e-9) }).id).toBe(drawn.id);
          else expect(drawn.logprob).toBeCloseTo(twin.logprob, 6);
          if (allowed) expect((allowed[drawn.id >> 5]! >>> (drawn.id & 31)) & 1).toBe(1);
          expect(alternatives[0]!.id).toBe(referenceSample([...logits], { ...greedy, allowed }).id);
        },
      ),
    );
  });
});

describe("the reference as a decoder's session", () => {
  it("gives a sequence the same in one piece, in pieces, token by token, and beside others", async () => {
    const session = await open();
    const ids = [7, 3, 9, 4, 11, 30, 2];
    const expected = referenceSample(referenceLogits(model, ids).at(-1)!, greedy);
    const whole = await session.step(one(ids, 0, [5, 2], greedy));
    expect(whole.next[0]).toBe(expected.id);
    expect(whole.logprob[0]).toBeCloseTo(expected.logprob, 5);
    await session.step(one(ids.slice(0, 3), 0, [9, 1]));
    const pieces = await session.step(one(ids.slice(3), 3, [9, 1], greedy));
    const steps = [];
    for (const [t, id] of ids.entries()) steps.push(await session.step(one([id], t, [3, 8], greedy)));
    const beside = await session.step({
      ...ragged([[1, 2, 3], ids, [4]]),
      cached: Int32Array.of(0, 0, 0),
      blocks: [Int32Array.of(10), Int32Array.of(11, 12), Int32Array.of(13)],
      sampling: [greedy, greedy, undefined],
    });
    expect(pieces.next[0]).toBe(whole.next[0]);
    expect(pieces.logprob[0]).toBe(whole.logprob[0]);
    expect(steps.at(-1)!.logprob[0]).toBe(whole.logprob[0]);
    expect(beside.logprob[1]).toBe(whole.logprob[0]);
    expect(beside.next[2]).toBe(-1);
  });

  it("goes on from blocks that another sequence wrote", async () => {
    const session = await open();
    await session.step(one([7, 3, 9, 4], 0, [5]));
    const shared = await session.step(one([8], 4, [5, 6], greedy));
    const fresh = await session.step(one([7, 3, 9, 4, 8], 0, [1, 2], greedy));
    expect(shared.logprob[0]).toBe(fresh.logprob[0]);
  });

  it("reaches the golden cases of apps/train: scores, and the likeliest continuation", async () => {
    const folder = fileURLToPath(new URL("../../fixtures/moe-toy", import.meta.url));
    const toy = decoderModel(await readBundle(folder));
    const session = await referenceEngine().loadDecoder(toy, { blocks: 64, blockTokens: 4 });
    const blocks = [Int32Array.from({ length: 64 }, (_, i) => 63 - i)];
    for (const { ids, logprobs, greedy: written } of (await readDecoderGolden(folder, toy)).slice(0, 2)) {
      let result = await session.step({
        ...one(ids, 0, [], greedy),
        blocks,
        scored: [true],
      });
      for (const [t, value] of logprobs.entries()) expect(result.scores![0]![t]).toBeCloseTo(value, 4);
      for (const [i, expected] of written.slice(0, 6).entries()) {
        expect(result.next[0]).toBe(expected);
        result = await session.step({ ...one([expected], ids.length + i, [], greedy), blocks });
      }
    }
  });

  it("refuses what it cannot compute", async () => {
    const session = await open();
    const refused = (work: Promise<unknown>) => expect(work).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await refused(session.step(one([1], 3, [0], greedy)));
    await refused(session.step(one([50], 0, [0], greedy)));
    await refused(session.step(one([1, 2, 3, 4, 5], 0, [0], greedy)));
    await refused(session.step(one([1], 0, [16], greedy)));
    await refused(session.step(one([1], 0, [0], { ...greedy, allowed: new Uint32Array(2) })));
    await refused(open(0));
    await expect(session.step(one([1], 0, [0], greedy), AbortSignal.abort())).rejects.toMatchObject({
      code: "ABORTED",
    });
    await session.close();
    await expect(session.step(one([1], 0, [0], greedy))).rejects.toMatchObject({ code: "CLOSED" });
  });
});
