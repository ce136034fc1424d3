import { describe, expect, it } from "@jest/globals";
import { mulberry32 } from "@tessera/core/internal";
import { countOf, FakeClock } from "@tessera/testkit";
import fc from "fast-check";
import { DecoderScheduler, type SchedulerSettings, type SequenceEnd } from "./decoder-scheduler.js";
import { FakeDecoder, spoken } from "./fake-decoder.fixture.js";

const greedy = { temperature: 0, topP: 1, random: 0 };

function scheduler(
  blocks: number,
  blockTokens: number,
  settings: Partial<SchedulerSettings> = {},
): { session: FakeDecoder; decoder: DecoderScheduler; clock: FakeClock } {
  const clock = new FakeClock();
  const session = new FakeDecoder(blocks, blockTokens, clock);
  return {
    session,
    clock,
    decoder: new DecoderScheduler(session, { name: "fake", context: 4096, clock, ...settings }),
  };
}

interface Asked {
  readonly end: Promise<SequenceEnd>;
  readonly said: number[];
}

function ask(
  decoder: DecoderScheduler,
  prompt: readonly number[],
  maxTokens: number,
  {
    caller = "a",
    signal,
    stop,
  }: { caller?: string; signal?: AbortSignal; stop?: (said: readonly number[]) => boolean } = {},
): Asked {
  const said: number[] = [];
  const end = decoder.run({
    caller,
    prompt: Int32Array.from(prompt),
    maxTokens,
    signal,
    sampling: () => greedy,
    take({ id }) {
      said.push(id);
      return stop?.(said) ?? false;
    },
  });
  end.catch(() => {});
  return { end, said };
}

const range = (length: number, from = 0): number[] => Array.from({ length }, (_, i) => from + i);
const idle = (blocks: number) => expect.objectContaining({ waiting: 0, running: 0, blocksFree: blocks });

describe("the scheduler of a decoder", () => {
  it("says what one sequence at a time would say, whatever the cache, the step and the neighbours", async () => {
    const request = fc.record({
      prefix: fc.constantFrom(0, 4, 9, 16),
      own: fc.array(fc.nat(50), { minLength: 1, maxLength: 20 }),
      maxTokens: fc.integer({ min: 1, max: 24 }),
      caller: fc.constantFrom("a", "b", "c"),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(request, { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 16, max: 40 }),
        fc.constantFrom(4, 5),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 20 }),
        async (requests, blocks, blockTokens, sequences, room) => {
          const { decoder } = scheduler(blocks, blockTokens, { sequences, tokensPerStep: sequences + room });
          const asked = requests.map(({ prefix, own, maxTokens, caller }) => {
            const prompt = [...range(prefix, 100), ...own];
            return { prompt, maxTokens, ...ask(decoder, prompt, maxTokens, { caller }) };
          });
          for (const { prompt, maxTokens, end, said } of asked) {
            const { finish, generated } = await end;
            expect(said).toEqual(spoken(prompt, generated));
            expect(finish).toBe("length");
            expect(generated).toBe(Math.min(maxTokens, blocks * blockTokens - prompt.length));
          }
          expect(decoder.state).toEqual(idle(blocks));
        },
      ),
      { numRuns: 150 },
    );
  });

  it("interrupts the youngest where the cache is full, and every answer is whole all the same", async () => {
    const { decoder } = scheduler(8, 4, { sequences: 4, tokensPerStep: 16 });
    const asked = range(4).map((i) => ask(decoder, range(5, 10 * i), 20));
    await Promise.all(asked.map(({ end }) => end));
    for (const [i, { said }] of asked.entries()) expect(said).toEqual(spoken(range(5, 10 * i), 20));
    expect(decoder.totals.interruptions).toBeGreaterThan(0);
  });

  it("reads a prompt in pieces, and nobody misses a token meanwhile", async () => {
    const { decoder, session } = scheduler(64, 16, { sequences: 4, tokensPerStep: 20 });
    const short = ask(decoder, [1, 2], 30);
    const long = ask(decoder, range(300), 1, { caller: "b" });
    await Promise.all([short.end, long.end]);
    for (const { tokens } of session.batches) expect(tokens).toBeLessThanOrEqual(20);
    // 30 tokens in 30 steps: the short answer had one of each
    expect(session.batches.slice(1, 16).every(({ sequences }) => sequences === 2)).toBe(true);
    expect(long.said).toEqual(spoken(range(300), 1));
  });

  it("computes the beginning that two prompts share only once", async () => {
    const { decoder, session } = scheduler(64, 4);
    await ask(decoder, [...range(17), 90], 2).end;
    const tokens = session.batches.reduce((sum, batch) => sum + batch.tokens, 0);
    const second = ask(decoder, [...range(17), 91, 92], 2);
    expect((await second.end).reused).toBe(16);
    expect(second.said).toEqual(spoken([...range(17), 91, 92], 2));
    const more = session.batches.reduce((sum, batch) => sum + batch.tokens, 0) - tokens;
    expect(more).toBe(3 + 1);
  });

  it("ends an answer where `take` says so, and fails only the answer whose `take` throws", async () => {
    const { decoder } = scheduler(64, 4);
    const stopped = ask(decoder, [1], 50, { stop: (said) => said.length === 3 });
    const thrown = ask(decoder, [2], 50, {
      stop: () => {
        throw new Error("no grammar");
      },
    });
    expect(await stopped.end).toEqual({ finish: "stop", generated: 3, reused: 0 });
    await expect(thrown.end).rejects.toMatchObject({ code: "MODEL_FAILED", message: "no grammar" });
    expect(decoder.state).toEqual(idle(64));
  });

  it("gives blocks back at once when a caller goes, even in the middle of a step", async () => {
    const { decoder, session } = scheduler(16, 4);
    const controller = new AbortController();
    const gone = ask(decoder, range(20), 20, { signal: controller.signal });
    const kept = ask(decoder, [5, 6], 12);
    session.before = () => {
      session.before = undefined;
      expect(decoder.state.blocksFree).toBe(16 - 6 - 1);
      controller.abort();
      expect(decoder.state.blocksFree).toBe(16 - 1);
    };
    await expect(gone.end).rejects.toMatchObject({ code: "ABORTED" });
    await kept.end;
    expect(kept.said).toEqual(spoken([5, 6], 12));
    expect(decoder.state).toEqual(idle(16));
  });

  it("fails the answers of a step that failed, and trusts nothing that the cache held", async () => {
    const { decoder, session } = scheduler(64, 4);
    await ask(decoder, range(20), 1).end;
    session.before = () => {
      session.before = undefined;
      throw new Error("device lost");
    };
    await expect(ask(decoder, [1, 2, 3], 4).end).rejects.toMatchObject({ code: "MODEL_FAILED", path: "fake" });
    const after = ask(decoder, range(20), 3);
    expect((await after.end).reused).toBe(0);
    expect(after.said).toEqual(spoken(range(20), 3));
    expect(decoder.state).toEqual(idle(64));
  });

  it("refuses what can never be answered, and what is too much now", async () => {
    const { decoder } = scheduler(4, 4, { waiting: 2 });
    await expect(ask(decoder, [], 1).end).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await expect(ask(decoder, range(16), 1).end).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await expect(ask(decoder, [1], 0).end).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    const kept = [ask(decoder, [1], 1), ask(decoder, [2], 1)];
    await expect(ask(decoder, [3], 1).end).rejects.toMatchObject({ code: "OVERLOADED", retryAfterMs: 1000 });
    await Promise.all(kept.map(({ end }) => end));
    await ask(decoder, [3], 1).end;
    decoder.close();
    await expect(ask(decoder, [3], 1).end).rejects.toMatchObject({ code: "CLOSED" });
  });

  it("closes with every answer told", async () => {
    const { decoder, session } = scheduler(8, 4, { sequences: 1 });
    const asked = [ask(decoder, [1], 9), ask(decoder, [2], 9)];
    session.before = () => decoder.close();
    for (const { end } of asked) await expect(end).rejects.toMatchObject({ code: "CLOSED" });
    expect(decoder.state).toEqual(idle(8));
  });

  it("lets nobody wait for a caller who asks for everything: one short answer between two of his", async () => {
    const { decoder, session } = scheduler(64, 16, { sequences: 1, tokensPerStep: 64, waiting: 500 });
    const ends: string[] = [];
    const count = (name: string) => () => ends.push(name);
    for (let i = 0; i < 200; i++) ask(decoder, range(30, i), 10, { caller: "greedy" }).end.then(count("greedy"));
    let steps = 0;
    for (let i = 0; i < 10; i++) {
      steps = session.batches.length;
      await ask(decoder, [i], 4, { caller: "modest" }).end.then(count("modest"));
      // what runs (10 steps at most), and at the first time one more that is equally early; then his own 4
      expect(session.batches.length - steps).toBeLessThanOrEqual(2 * 10 + 4);
    }
    expect(ends.filter((name) => name === "greedy").length).toBeLessThanOrEqual(11);
  });

  it("lets an old caller in though new ones come without end", async () => {
    const { decoder } = scheduler(64, 16, { sequences: 2, tokensPerStep: 64, waiting: 64 });
    let done = false;
    let strangers = 0;
    const flood = (): void => {
      if (done) return;
      strangers += 1;
      ask(decoder, range(8, strangers), 4, { caller: `stranger ${strangers}` }).end.then(flood, flood);
    };
    // he has had 200 tokens more than anybody, and now eight strangers are always there
    await ask(decoder, range(100), 100, { caller: "old" }).end;
    for (let i = 0; i < 8; i++) flood();
    await ask(decoder, range(50, 500), 10, { caller: "old" }).end;
    done = true;
    // the virtual time must grow by at most the 200 that he had: 9 callers, 11 tokens a stranger
    expect(strangers).toBeLessThanOrEqual(8 + (200 * 9) / 11 + 16);
  });

  it("reads the oldest prompt in half of the room, however many shorter ones are more urgent", async () => {
    const { decoder, session } = scheduler(256, 4, { sequences: 8, tokensPerStep: 24, waiting: 64 });
    let done = false;
    let strangers = 0;
    const flood = (): void => {
      if (done) return;
      strangers += 1;
      ask(decoder, range(12, 1000 * strangers), 1, { caller: `stranger ${strangers}` }).end.then(flood, flood);
    };
    const long = ask(decoder, range(300), 1, { caller: "old" });
    for (let i = 0; i < 12; i++) flood();
    await long.end;
    done = true;
    // a step has at least 24 − 7 tokens for prompts, of which half, rounded up, are his
    expect(session.batches.length).toBeLessThanOrEqual(Math.ceil(300 / 9));
  });

  it("loses no block in many requests, with callers that go and an engine that fails", async () => {
    const blocks = 512;
    const { decoder, session } = scheduler(blocks, 8, { sequences: 64, tokensPerStep: 512, waiting: 512 });
    session.recording = false;
    const random = mulberry32(7);
    let steps = 0;
    session.before = () => {
      if (++steps % 1009 === 0) throw new Error("device lost");
    };
    const most = countOf({ usual: 100_000, long: 1_000_000 });
    let begun = 0;
    const counts = { done: 0, ABORTED: 0, MODEL_FAILED: 0, wrong: 0 };
    const client = async (): Promise<void> => {
      while (begun < most) {
        const number = begun++;
        const prompt = new Int32Array(2 + ((random() * 22) | 0)).fill((random() * 4) | 0);
        prompt[prompt.length - 1] = number % 991;
        const maxTokens = 1 + ((random() * 4) | 0);
        const controller = number % 29 === 0 ? new AbortController() : undefined;
        let drawn = 0;
        try {
          const end = decoder.run({
            caller: `caller ${number % 50}`,
            prompt,
            maxTokens,
            signal: controller?.signal,
            sampling: () => greedy,
            take({ id }) {
              drawn += 1;
              if (number % 101 === 0 && id !== spoken([...prompt], drawn)[drawn - 1]) counts.wrong += 1;
              if (controller && random() < 0.5) controller.abort();
              return false;
            },
          });
          if (controller && random() < 0.3) controller.abort();
          await end;
          counts.done += 1;
        } catch (error) {
          counts[(error as { code: "ABORTED" | "MODEL_FAILED" }).code] += 1;
        }
      }
    };
    await Promise.all(Array.from({ length: 256 }, client));
    expect(counts.wrong).toBe(0);
    expect(counts.done + counts.ABORTED + counts.MODEL_FAILED).toBe(most);
    expect(counts.ABORTED).toBeGreaterThan(most / 100);
    expect(counts.MODEL_FAILED).toBeGreaterThan(100);
    expect(decoder.state).toEqual(idle(blocks));
  });
});
