import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { TesseraError } from "./errors.js";
import { type Job, PretendedWorker } from "./thread-pool.fixture.js";
import { ThreadQueue, type ThreadQueueSettings } from "./thread-queue.js";

const closed = new TesseraError("CLOSED", "enough");
function queueOf(threads: number, settings: Partial<ThreadQueueSettings<Job, number>> = {}, starts = true) {
  const workers: PretendedWorker[] = [];
  const alive = () => workers.filter(({ alive }) => alive);
  let most = 0;
  const queue = new ThreadQueue<Job, number>({
    threads,
    start() {
      const worker = new PretendedWorker(starts);
      workers.push(worker);
      most = Math.max(most, alive().length);
      return worker.thread();
    },
    limitMs: () => 20,
    late() {
      throw new TesseraError("STORE_FAILED", "too long");
    },
    ...settings,
  });
  return { queue, workers, alive, most: () => most };
}

describe("a queue of threads", () => {
  it("ends every job by what becomes of it alone, whatever becomes of the others", async () => {
    const kinds = ["answer", "fail", "die", "stay", "abort"] as const;
    const answers = { fail: (n: number) => `${n}`, die: () => "a thread ended with code 3", stay: () => "too long" };
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...kinds), { maxLength: 25 }), fc.nat(3), async (jobs, more) => {
        const { queue, alive, most } = queueOf(1 + more);
        const results = jobs.map((kind, number) => {
          const controller = new AbortController();
          const aborted = () => new TesseraError("ABORTED", `abort ${number}`);
          const end = kind === "abort" ? "stay" : kind;
          const result = queue.run({ number, end }, { signal: controller.signal, aborted });
          if (kind === "abort") setTimeout(() => controller.abort(), number % 2 ? 0 : 5);
          return result.catch((error: TesseraError) => error.message);
        });
        expect(await Promise.all(results)).toEqual(
          jobs.map((kind, n) => (kind === "answer" ? n : kind === "abort" ? `abort ${n}` : answers[kind](n))),
        );
        expect(most()).toBeLessThanOrEqual(1 + more);
        await queue.close(closed);
        expect(alive()).toHaveLength(0);
      }),
      { numRuns: 30 },
    );
  });

  it("keeps the thread of a job that failed, and not of one whose answer says so", async () => {
    const { queue, workers } = queueOf(1, { reusable: (answer) => answer !== 13 });
    await queue.run({ number: 1, end: "fail" }).catch(() => {});
    expect(await queue.run({ number: 2, end: "answer" })).toBe(2);
    expect(workers).toHaveLength(1);
    expect(await queue.run({ number: 13, end: "answer" })).toBe(13);
    expect(await queue.run({ number: 3, end: "answer" })).toBe(3);
    expect(workers.map(({ alive }) => alive)).toEqual([false, true]);
  });

  it("lets its owner say what a late and a failed job come to", async () => {
    const { queue } = queueOf(1, { late: (ms) => (ms > 10 ? -1 : 0), failed: () => -2 });
    const ends = ["stay", "die", "fail", "answer"] as const;
    expect(await Promise.all(ends.map((end, number) => queue.run({ number, end })))).toEqual([-1, -2, -2, 3]);
  });

  it("fails what waits and what runs when it is closed or cannot start, and what comes after", async () => {
    const { queue } = queueOf(1, { limitMs: () => 10_000, failed: () => -2 });
    const jobs = [0, 1, 2].map((number) => queue.run({ number, end: "stay" }).catch((error: unknown) => error));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await queue.close(closed);
    expect(await Promise.all(jobs)).toEqual([closed, closed, closed]);
    await expect(queue.run({ number: 4, end: "answer" })).rejects.toBe(closed);
    const broken = queueOf(2, {}, false);
    for (const result of await Promise.allSettled(
      [1, 2, 3].map((number) => broken.queue.run({ number, end: "answer" })),
    ))
      expect(result).toMatchObject({ status: "rejected", reason: { message: "a thread ended with code 1" } });
    expect(broken.workers).toHaveLength(2);
  });

  it("does nothing for a signal that is aborted already", async () => {
    const { queue, workers } = queueOf(1);
    await expect(queue.run({ number: 1, end: "answer" }, { signal: AbortSignal.abort("no") })).rejects.toBe("no");
    expect(workers).toHaveLength(0);
  });
});
