import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { cpuEngine } from "../engines/cpu.js";
import { randomDecoderModel } from "../engines/gpu/decoder-reference.fixture.js";
import { logSoftmax, readSequence } from "../engines/reference/decoder.js";
import { DecoderScheduler } from "./decoder-scheduler.js";

const model = randomDecoderModel(8, { routing: "learned", keyValue: true, current: true });
const none = (): never => {
  throw new Error("a given text is not drawn");
};

describe("scoring a given text", () => {
  it("gives the log-probabilities of the reference, in pieces, from a shared beginning and beside answers", async () => {
    const session = await cpuEngine({ workers: 1, precision: "fp32" }).loadDecoder(model, {
      blocks: 60,
      blockTokens: 4,
    });
    const scheduler = new DecoderScheduler(session, { name: "twin", context: 160, tokensPerStep: 7, sequences: 4 });
    const begin = [9, 8, 7, 6, 5, 4, 3, 2, 1];
    const text = fc.array(fc.nat(49), { minLength: 1, maxLength: 30 });
    const score = async (ids: number[], from: number) =>
      scheduler.run({
        caller: "a",
        prompt: Int32Array.from(ids),
        maxTokens: 1,
        scoredFrom: from,
        sampling: none,
        take: none,
      });
    await fc.assert(
      fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 4 }), async (texts) => {
        const answer = scheduler.run({
          caller: "b",
          prompt: Int32Array.from(begin),
          maxTokens: 10,
          sampling: () => ({ temperature: 0, topP: 1, random: 0 }),
          take: () => false,
        });
        const ended = await Promise.all(texts.map((ids) => score([...begin, ...ids], begin.length)));
        for (const [i, ids] of texts.entries()) {
          const reading = readSequence(model, [...begin, ...ids]);
          expect(ended[i]).toMatchObject({ finish: "stop", generated: 0 });
          for (const [t, id] of ids.entries()) {
            if (Math.min(...reading.margin.slice(0, begin.length + t)) < 1e-5) continue;
            expect(ended[i]!.scores![t]).toBeCloseTo(logSoftmax(reading.logits[begin.length + t - 1]!)[id]!, 4);
          }
        }
        expect((await answer).generated).toBe(10);
      }),
      { numRuns: 8 },
    );
    expect(scheduler.totals.reused).toBeGreaterThan(0);
    for (const from of [0, 9, 20, Number.NaN])
      await expect(score(begin, from)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    scheduler.close();
    await session.close();
  });
});
