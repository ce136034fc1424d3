import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import type { DecoderModel } from "../../architectures/decoder.js";
import { decoderModel, readDecoderGolden } from "../../architectures/tessera-decoder.js";
import { readBundle } from "../../formats/bundle.js";
import { randomDecoder } from "../../tools/random-decoder.js";
import { cpuEngine } from "../cpu.js";
import { type DecoderBatch, type DecoderSession, ragged, type Sampling } from "../engine.js";
import { randomDecoderModel } from "../gpu/decoder-reference.fixture.js";
import { logSoftmax, readSequence } from "../reference/decoder.js";
import type { ThreadSettings } from "./protocol.js";
import { CpuDecoder } from "./session.js";

const greedy: Sampling = { temperature: 0, topP: 1, random: 0 };
const cache = { blocks: 48, blockTokens: 4 };
const sessions: DecoderSession[] = [];
afterEach(async () => {
  await Promise.all(sessions.splice(0).map((session) => session.close()));
});

async function open(model: DecoderModel, precision: "int8" | "fp32", workers = 1): Promise<DecoderSession> {
  const session = await cpuEngine({ workers, precision }).loadDecoder(model, cache);
  sessions.push(session);
  return session;
}
const one = (ids: readonly number[], cached: number, blocks: readonly number[], sampling?: Sampling): DecoderBatch => ({
  ...ragged([ids]),
  cached: Int32Array.of(cached),
  blocks: [Int32Array.from(blocks)],
  sampling: [sampling],
});
const manyBlocks = Array.from({ length: 12 }, (_, i) => 11 - i);

/** The session's log-probability of each token but the first, in one piece, and token by token. */
async function scoresOf(
  session: DecoderSession,
  ids: readonly number[],
): Promise<{ whole: number[]; steps: number[] }> {
  const whole = await session.step({ ...one(ids, 0, manyBlocks), scored: [true] });
  const steps: number[] = [];
  for (const [t, id] of ids.slice(0, -1).entries()) {
    const only = new Uint32Array(8);
    only[ids[t + 1]! >> 5] = 1 << (ids[t + 1]! & 31);
    const free = await session.step(
      one([id], t, [20, 21, 22, 23, 24, 25, 26, 27, 28, 29], { ...greedy, alternatives: 64 }),
    );
    steps.push(free.alternatives![0]!.find((one) => one.id === ids[t + 1])!.logprob);
  }
  return { whole: [...whole.scores![0]!], steps };
}

describe("a decoder on the CPU in fp32", () => {
  it("gives the reference's log-probabilities to 1e-4 in one piece and token by token, where routing is equal", async () => {
    let [compared, near] = [0, 0];
    const shape = fc.record({
      routing: fc.constantFrom("learned" as const, "average" as const, "none" as const),
      keyValue: fc.boolean(),
      current: fc.boolean(),
    });
    const ids = fc.array(fc.nat(49), { minLength: 2, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(fc.nat(1000), shape, ids, async (seed, drawn, sequence) => {
        const model = randomDecoderModel(seed, drawn);
        const reference = readSequence(model, sequence);
        const { whole, steps } = await scoresOf(await open(model, "fp32"), sequence);
        for (const [t, logits] of reference.logits.slice(0, -1).entries()) {
          // what a token attends to may have gone another way
          if (Math.min(...reference.margin.slice(0, t + 1)) < 1e-5) near += 1;
          else {
            compared += 1;
            const expected = logSoftmax(logits)[sequence[t + 1]!]!;
            expect(Math.abs(whole[t]! - expected)).toBeLessThan(1e-4);
            expect(Math.abs(steps[t]! - expected)).toBeLessThan(1e-4);
          }
        }
      }),
      { numRuns: 10 },
    );
    expect(near).toBeLessThan(compared / 10);
  });

  it.each(["moe-toy", "dense-toy"])("reaches the golden cases of %s, which apps/train wrote", async (name) => {
    const folder = fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
    const model = decoderModel(await readBundle(folder));
    const session = await open(model, "fp32");
    for (const { ids, logprobs, greedy: written } of await readDecoderGolden(folder, model)) {
      let result = await session.step({
        ...one(ids, 0, [], greedy),
        blocks: [Int32Array.from({ length: 48 }, (_, i) => i)],
        scored: [true],
      });
      for (const [t, expected] of logprobs.entries()) expect(result.scores![0]![t]).toBeCloseTo(expected, 4);
      for (const [i, expected] of written.slice(0, 8).entries()) {
        expect(result.next[0]).toBe(expected);
        result = await session.step({
          ...one([expected], ids.length + i, [], greedy),
          blocks: [Int32Array.from({ length: 48 }, (_, b) => b)],
        });
      }
    }
  });
});

describe("a decoder on the CPU in int8", () => {
  const model = randomDecoder({ shape: "tiny", seed: 4 });
  const ids = Array.from({ length: 40 }, (_, i) => (i * 37 + 5) % 160);

  it("stays within 0.005 of the reference: 16-bit activations lose little", async () => {
    const reference = readSequence(model, ids);
    const { scores } = await (await open(model, "int8")).step({ ...one(ids, 0, manyBlocks), scored: [true] });
    for (const [t, logits] of reference.logits.slice(0, -1).entries())
      expect(Math.abs(scores![0]![t]! - logSoftmax(logits)[ids[t + 1]!]!)).toBeLessThan(0.005);
  });

  it("gives a sequence the same bits alone, in pieces, beside others and on other threads", async () => {
    const alone = await (await open(model, "int8")).step({ ...one(ids, 0, manyBlocks, greedy), scored: [true] });
    const session = await open(model, "int8", 2);
    const others = [ids.slice(3, 9), ids, ids.slice(20), [4]];
    const beside = await session.step({
      ...ragged(others),
      cached: new Int32Array(4),
      blocks: [[40, 41], manyBlocks, [20, 21, 22, 23, 24], [30]].map((blocks) => Int32Array.from(blocks)),
      sampling: others.map(() => greedy),
      scored: [false, true, false, false],
    });
    expect(beside.next[1]).toBe(alone.next[0]);
    expect(beside.logprob[1]).toBe(alone.logprob[0]);
    expect(beside.scores![1]).toEqual(alone.scores![0]);
    await session.step(one(ids.slice(0, 33), 0, [30, 31, 32, 33, 34, 35, 36, 37, 38, 39]));
    const rest = await session.step(one(ids.slice(33), 33, [30, 31, 32, 33, 34, 35, 36, 37, 38, 39], greedy));
    expect(rest.logprob[0]).toBe(alone.logprob[0]);
  });

  it.each([2, 3])("gives the same on one thread and on a team of %i, to the bit", async (workers) => {
    for (const shape of [
      { routing: "learned", keyValue: true, current: true },
      { routing: "average", keyValue: false, current: false },
      { routing: "none", keyValue: true, current: false },
    ] as const) {
      const some = randomDecoderModel(11, shape);
      const alone = await open(some, "int8");
      const team = new CpuDecoder(some, cache, "int8", workers, undefined, 0);
      sessions.push(team);
      const known = ids.map((id) => id % some.embedding.rows);
      const steps = [
        // passes that divide tokens, then one that divides products; then single tokens, one sequence and two
        { ...one(known, 0, manyBlocks, { ...greedy, alternatives: 4 }), scored: [true], counted: true },
        { ...one([5], known.length, manyBlocks, { ...greedy, alternatives: 4 }), counted: true },
        {
          ...ragged([[9], [1, 2, 3, 4, 5, 6, 7]]),
          cached: Int32Array.of(known.length + 1, 0),
          blocks: [Int32Array.from(manyBlocks), Int32Array.of(20, 21)],
          sampling: [greedy, greedy],
          scored: [false, true],
        },
      ];
      for (const step of steps) expect(await team.step(step)).toEqual(await alone.step(step));
    }
  });

  it("ends the step of a whole team when one of its threads dies, or when it is aborted, and goes on", async () => {
    const started: Worker[] = [];
    const start = (workerData: ThreadSettings): Worker => {
      const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData });
      started.push(worker);
      return worker;
    };
    const session = new CpuDecoder(model, cache, "int8", 2, start, 0);
    sessions.push(session);
    const expected = await session.step(one(ids, 0, manyBlocks, greedy));
    const long = one(
      Array.from({ length: 96 }, () => 5),
      0,
      Array.from({ length: 24 }, (_, i) => i),
      greedy,
    );
    const dying = session.step(long);
    await started[1]!.terminate();
    // it may have been done by then
    await dying.catch((error: unknown) => expect(error).toMatchObject({ code: "MODEL_FAILED" }));
    const abort = new AbortController();
    const steps = Array.from({ length: 20 }, () => session.step(long, abort.signal).catch((error: unknown) => error));
    await steps[0];
    abort.abort(new Error("enough"));
    expect(await steps.at(-1)).toMatchObject({ code: "ABORTED" });
    expect((await session.step(one(ids, 0, manyBlocks, greedy))).logprob[0]).toBe(expected.logprob[0]);
  });

  it("goes on from blocks that another sequence wrote", async () => {
    const session = await open(model, "int8", 2);
    await session.step(one([7, 3, 9, 4], 0, [5]));
    const shared = await session.step(one([8], 4, [5, 6], greedy));
    const fresh = await session.step(one([7, 3, 9, 4, 8], 0, [1, 2], greedy));
    expect(shared.logprob[0]).toBe(fresh.logprob[0]);
  });

  it("ends a step between two layers when it is aborted, and goes on with the next", async () => {
    const session = await open(model, "int8");
    const long = {
      ...one(
        Array.from({ length: 96 }, () => 5),
        0,
        Array.from({ length: 24 }, (_, i) => i),
        greedy,
      ),
    };
    const abort = new AbortController();
    const steps = Array.from({ length: 20 }, () => session.step(long, abort.signal).catch((error: unknown) => error));
    await steps[0];
    abort.abort(new Error("enough"));
    expect(await steps.at(-1)).toMatchObject({ code: "ABORTED" });
    expect((await session.step(one(ids, 0, manyBlocks, greedy))).next[0]).toBeGreaterThanOrEqual(0);
  });

  it("fails the step of a thread that dies, and starts another", async () => {
    const started: Worker[] = [];
    const start = (workerData: ThreadSettings): Worker => {
      const dies =
        "const { parentPort } = require('node:worker_threads'); parentPort.postMessage({ kind: 'ready' }); parentPort.on('message', () => process.exit(3));";
      const worker =
        started.length === 1
          ? new Worker(dies, { eval: true })
          : new Worker(new URL("./worker.js", import.meta.url), { workerData });
      started.push(worker);
      return worker;
    };
    const session = new CpuDecoder(model, cache, "int8", 1, start);
    sessions.push(session);
    const first = await session.step(one(ids, 0, manyBlocks, greedy));
    await started[0]!.terminate();
    await expect(session.step(one(ids, 0, manyBlocks, greedy))).rejects.toMatchObject({
      code: "MODEL_FAILED",
      message: expect.stringContaining("code 3"),
    });
    // weights and cache outlive the thread
    expect((await session.step(one(ids, 0, manyBlocks, greedy))).logprob[0]).toBe(first.logprob[0]);
    expect(started).toHaveLength(3);
  });

  it("says so where a thread cannot start, where weights are no numbers, and where the cache has no size", async () => {
    const broken = new CpuDecoder(
      model,
      cache,
      "int8",
      1,
      () => new Worker("throw new Error('out of luck')", { eval: true }),
    );
    await expect(broken.ready()).rejects.toMatchObject({
      code: "MODEL_FAILED",
      message: expect.stringMatching(/out of luck/),
    });
    const norm = { ...model.norm, weight: model.norm.weight.map(() => Number.NaN) };
    const damaged = await open({ ...model, norm }, "fp32");
    await expect(damaged.step(one([1], 0, [0], greedy))).rejects.toMatchObject({
      code: "MODEL_FAILED",
      message: expect.stringMatching(/finite/),
    });
    const load = (blocks: number) => cpuEngine({ workers: 1 }).loadDecoder(model, { blocks, blockTokens: 4 });
    await expect(load(0)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await expect(load(1e7)).rejects.toMatchObject({ code: "BAD_ARGUMENT", hint: expect.stringMatching(/4 GiB/) });
    const narrow = randomDecoderModel(1, { routing: "none", keyValue: true, current: true });
    await expect(cpuEngine({ workers: 1 }).loadDecoder({ ...narrow, heads: 8 }, cache)).rejects.toMatchObject({
      code: "MISSING_CAPABILITY",
    });
  });

  it("refuses work after it was closed, and work that it cannot compute", async () => {
    const session = await open(model, "int8");
    await expect(session.step(one([160], 0, [0], greedy))).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await expect(session.step(one([1], 0, [0]), AbortSignal.abort())).rejects.toMatchObject({ code: "ABORTED" });
    const pending = session.step(one(ids, 0, manyBlocks, greedy));
    await session.close();
    await expect(pending).rejects.toMatchObject({ code: "CLOSED" });
    await expect(session.step(one([1], 0, [0]))).rejects.toMatchObject({ code: "CLOSED" });
  });
});
