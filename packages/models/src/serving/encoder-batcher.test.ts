import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { FakeClock } from "@tessera/testkit";
import fc from "fast-check";
import { encoderModel } from "../architectures/tessera-encoder.js";
import { type EncoderSession, type Ragged, ragged } from "../engines/engine.js";
import { referenceEngine } from "../engines/reference/engine.js";
import { readBundle } from "../formats/bundle.js";
import { TokenizerThreads } from "../tokenizer/threads.js";
import { writeRandomEncoder } from "../tools/random-encoder.js";
import { type BatcherSettings, EncoderBatcher } from "./encoder-batcher.js";
import { type EncoderService, encoderService } from "./encoder-service.js";

/** Vectors that say which text and exit they are of; the engine finishes a batch when it is told to. */
class FakeEncoder implements EncoderSession {
  readonly exits = [1, 2];
  readonly hidden = 3;
  readonly batches: { readonly texts: number[][]; readonly exit: number }[] = [];
  private readonly finish: (() => void)[] = [];
  failure: Error | undefined;
  auto = false;

  async encode({ ids, offsets }: Ragged, exit: number): Promise<Float32Array> {
    const texts = Array.from({ length: offsets.length - 1 }, (_, i) => [...ids.subarray(offsets[i], offsets[i + 1])]);
    this.batches.push({ texts, exit });
    const { failure } = this;
    if (!this.auto) await new Promise<void>((resolve) => this.finish.push(resolve));
    if (failure) throw failure;
    return Float32Array.from(texts.flatMap((text) => [...vectorOf(text, exit)]));
  }

  /** The oldest batch is done. */
  async end(): Promise<void> {
    this.finish.shift()?.();
    await turn();
  }

  async close(): Promise<void> {}
}

const vectorOf = (text: readonly number[], exit: number): Float32Array => Float32Array.of(text[0]!, text.length, exit);

function batcher(settings: Partial<BatcherSettings> = {}) {
  const clock = new FakeClock();
  const session = new FakeEncoder();
  return { clock, session, batcher: new EncoderBatcher(session, { name: "fake", lanes: 1, clock, ...settings }) };
}

const texts = (count: number, length: number, first = 0): number[][] =>
  Array.from({ length: count }, (_, i) => Array.from({ length }, () => first + i));

describe("the batcher of an encoder", () => {
  it("gives each caller the vectors of his texts in their order, whatever the batches", async () => {
    const call = fc.record({
      texts: fc.array(fc.array(fc.nat(99), { minLength: 1, maxLength: 40 }), { maxLength: 12 }),
      exit: fc.constantFrom(1, 2),
      caller: fc.constantFrom("a", "b"),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(call, { maxLength: 8 }),
        fc.integer({ min: 1, max: 90 }),
        fc.integer({ min: 1, max: 3 }),
        fc.boolean(),
        async (calls, tokensPerBatch, lanes, mix) => {
          const { batcher: shared, session } = batcher({ tokensPerBatch, lanes, mix });
          session.auto = true;
          const answers = await Promise.all(
            calls.map(({ texts, exit, caller }) => shared.encode(caller, ragged(texts), exit)),
          );
          for (const [i, { texts, exit }] of calls.entries())
            expect([...answers[i]!]).toEqual(texts.flatMap((text) => [...vectorOf(text, exit)]));
          for (const { texts, exit } of session.batches) {
            const lengths = texts.map(({ length }) => length);
            expect(Math.max(...lengths)).toBeLessThan(2 * Math.min(...lengths));
            if (texts.length > 1) expect(lengths.reduce((a, b) => a + b)).toBeLessThanOrEqual(tokensPerBatch);
            expect([1, 2]).toContain(exit);
          }
          expect(shared.state).toEqual({ waitingTokens: 0, calls: 0, freeLanes: lanes });
        },
      ),
    );
  });

  it("mixes callers in a batch, and not where it shall not", async () => {
    for (const mix of [true, false]) {
      const { batcher: shared, session } = batcher({ mix });
      const answers = ["a", "b", "c"].map((caller) => shared.encode(caller, ragged([[1, 2]]), 1));
      await session.end();
      await session.end();
      await session.end();
      await Promise.all(answers);
      // the first found the engine idle; the others met while it was busy
      expect(session.batches.map(({ texts }) => texts.length)).toEqual(mix ? [1, 2] : [1, 1, 1]);
    }
  });

  it("waits for company until the deadline, and not when the batch is full", async () => {
    const { batcher: shared, session, clock } = batcher({ waitMs: 5, tokensPerBatch: 8 });
    const first = shared.encode("a", ragged([[1, 2]]), 1);
    clock.advance(4);
    const second = shared.encode("b", ragged([[3, 4]]), 1);
    expect(session.batches).toHaveLength(0);
    clock.advance(1);
    expect(session.batches.map(({ texts }) => texts)).toEqual([
      [
        [1, 2],
        [3, 4],
      ],
    ]);
    await session.end();
    const full = shared.encode("a", ragged(texts(4, 2)), 1);
    expect(session.batches).toHaveLength(2);
    await session.end();
    await Promise.all([first, second, full]);
  });

  it("lets a query pass an index that is being built", async () => {
    const { batcher: shared, session } = batcher({ tokensPerBatch: 8 });
    const index = shared.encode("index", ragged(texts(100, 4)), 1);
    const query = shared.encode("query", ragged([[7, 7, 7, 7]]), 1);
    await session.end();
    await session.end();
    await query;
    expect(session.batches.length).toBeLessThanOrEqual(3);
    session.auto = true;
    await session.end();
    await index;
  });

  it("forgets the texts of a caller who goes, and the others lose nothing", async () => {
    const { batcher: shared, session } = batcher({ tokensPerBatch: 8 });
    const controller = new AbortController();
    const gone = shared.encode("a", ragged(texts(50, 4)), 1, controller.signal);
    const kept = shared.encode("b", ragged(texts(2, 4, 60)), 1);
    controller.abort();
    await expect(gone).rejects.toMatchObject({ code: "ABORTED", path: "fake" });
    expect(shared.state.waitingTokens).toBe(8);
    await session.end();
    await session.end();
    expect([...(await kept)]).toEqual([60, 4, 1, 61, 4, 1]);
    expect(session.batches).toHaveLength(2);
  });

  it("tells those whose batch failed, and serves the next", async () => {
    const { batcher: shared, session } = batcher();
    session.failure = new Error("device lost");
    const failed = shared.encode("a", ragged([[1]]), 1);
    session.failure = undefined;
    const next = shared.encode("b", ragged([[2]]), 1);
    await session.end();
    await expect(failed).rejects.toMatchObject({ code: "MODEL_FAILED", message: "device lost" });
    await session.end();
    expect([...(await next)]).toEqual([2, 1, 1]);
  });

  it("refuses what is too much, and what its check refuses, before it can spoil a batch", async () => {
    const { batcher: shared, session } = batcher({
      waitingTokens: 10,
      check: (_, exit) => {
        if (exit === 9) throw new Error("no such exit");
      },
    });
    const running = shared.encode("a", ragged([[1]]), 1);
    const waiting = shared.encode("a", ragged(texts(2, 4)), 1);
    await expect(shared.encode("b", ragged([[1, 2, 3]]), 1)).rejects.toMatchObject({
      code: "OVERLOADED",
      retryAfterMs: 1000,
    });
    await expect(shared.encode("b", ragged([[1]]), 9)).rejects.toThrow("no such exit");
    await session.end();
    await session.end();
    await Promise.all([running, waiting]);
    const late = shared.encode("a", ragged([[1]]), 1);
    await shared.close();
    await expect(late).rejects.toMatchObject({ code: "CLOSED" });
    await expect(shared.encode("a", ragged([[1]]), 1)).rejects.toMatchObject({ code: "CLOSED" });
  });
});

describe("the encoder as a service", () => {
  const tokenizerPath = fileURLToPath(new URL("../../tokenizer/tokenizer.json", import.meta.url));
  let folder: string;
  let service: EncoderService;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tessera-service-"));
    await writeRandomEncoder(folder, { shape: "tiny", tokenizer: tokenizerPath });
    const tokenizer = new TokenizerThreads({ document: await readFile(tokenizerPath, "utf8"), path: tokenizerPath });
    service = await encoderService(encoderModel(await readBundle(folder)), referenceEngine(), tokenizer);
  });
  afterAll(async () => {
    await service.close();
    await rm(folder, { recursive: true, force: true });
  });

  it("gives every caller the vectors that he would get alone", async () => {
    const words = ["sort a list", "open a file and read its lines", "x", ""];
    const alone = await service.encode(words, { kind: "query", exit: 2, width: 8 });
    const together = await Promise.all(
      ["a", "b", "c"].map((caller) => service.as(caller).encode(words, { kind: "query", exit: 2, width: 8 })),
    );
    for (const vectors of together) expect(vectors).toEqual(alone);
    expect(service.as("a").space({})).toBe(service.space({}));
    await expect(service.as("a").encode(["x"], { kind: "query", exit: 3 })).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
    });
  });
});
