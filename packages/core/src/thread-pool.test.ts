import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { TesseraError } from "./errors.js";
import { type Job, PretendedWorker } from "./thread-pool.fixture.js";
import { ThreadPool, type ThreadTask } from "./thread-pool.js";

/** A first-come, first-served pool over pretended workers. */
function queueOf(threads: number, starts: (nth: number) => boolean = () => true) {
  const workers: PretendedWorker[] = [];
  const queue: ThreadTask<Job, number>[] = [];
  let most = 0;
  const pool = new ThreadPool<Job, number>({
    threads,
    start() {
      const worker = new PretendedWorker(starts(workers.length));
      workers.push(worker);
      most = Math.max(most, workers.filter(({ alive }) => alive).length);
      return worker.thread();
    },
    take: () => queue.shift(),
    waiting: () => queue.length,
    refuse(error) {
      for (const task of queue.splice(0)) task.failed(error);
    },
  });
  const tasks: ThreadTask<Job, number>[] = [];
  const ask = (job: Job): Promise<string> =>
    new Promise((resolve, reject) => {
      const settled: string[] = [];
      const settle = (how: string): void => {
        settled.push(how);
        if (settled.length === 1) resolve(how);
        else reject(new Error(`settled twice: ${settled}`));
      };
      const task: ThreadTask<Job, number> = {
        job,
        done: (answer) => settle(`answer ${answer}`),
        failed: (error) => settle((error as TesseraError).message),
      };
      tasks.push(task);
      queue.push(task);
      pool.work();
    });
  return { pool, ask, workers, tasks, most: () => most };
}
const closed = new TesseraError("CLOSED", "enough");

describe("a pool of threads", () => {
  it("settles every task once, with its own end, on no more threads than it may have", async () => {
    const jobs = fc.array(fc.constantFrom("answer" as const, "fail" as const, "die" as const), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(jobs, fc.integer({ min: 1, max: 5 }), async (ends, threads) => {
        const { ask, pool, workers, most } = queueOf(threads);
        const results = await Promise.all(ends.map((end, number) => ask({ number, end })));
        expect(results).toEqual(
          ends.map(
            (end, number) =>
              ({ answer: `answer ${number}`, fail: `${number}`, die: "a thread ended with code 3" })[end],
          ),
        );
        expect(most()).toBeLessThanOrEqual(threads);
        await pool.close(closed);
        expect(workers.filter(({ alive }) => alive)).toHaveLength(0);
      }),
    );
  });

  it("starts threads when there is work for them, and keeps them for what follows", async () => {
    const { ask, pool, workers } = queueOf(3);
    await pool.ready();
    expect(workers).toHaveLength(1);
    for (let number = 0; number < 4; number++) await ask({ number, end: "answer" });
    expect(workers).toHaveLength(1);
    await Promise.all([1, 2, 3, 4, 5].map((number) => ask({ number, end: "answer" })));
    expect(workers).toHaveLength(3);
  });

  it("refuses what waits when no thread can be started, instead of starting for ever, and tries again with new work", async () => {
    const { ask, pool, workers } = queueOf(2, (nth) => nth > 1);
    await expect(pool.ready()).rejects.toMatchObject({ code: "MODEL_FAILED", message: "a thread ended with code 1" });
    const lost = await Promise.all([1, 2, 3].map((number) => ask({ number, end: "answer" })));
    expect(lost).toEqual(Array(3).fill("a thread ended with code 1"));
    expect(workers).toHaveLength(2);
    expect(await ask({ number: 4, end: "answer" })).toBe("answer 4");
  });

  it("goes on with the threads that run where another cannot be started, and grows again once one can", async () => {
    const { ask, workers } = queueOf(3, (nth) => nth !== 1);
    await ask({ number: 0, end: "answer" });
    const all = (count: number) =>
      Promise.all(Array.from({ length: count }, (_, number) => ask({ number, end: "answer" })));
    expect(await all(2)).toEqual(["answer 0", "answer 1"]);
    expect(workers).toHaveLength(2);
    await all(9);
    expect(workers).toHaveLength(2);
    await ask({ number: 1, end: "die" });
    await all(9);
    expect(workers.filter(({ alive }) => alive)).toHaveLength(3);
  });

  it("interrupts a task by ending its thread; the others do not notice", async () => {
    const { ask, pool, tasks, workers } = queueOf(2);
    const stays = [ask({ number: 0, end: "stay" }), ask({ number: 1, end: "stay" })];
    const waits = ask({ number: 2, end: "answer" });
    await new Promise((resolve) => setTimeout(resolve, 20));
    pool.interrupt(tasks[0]!);
    expect(await stays[0]).toBe("the task was interrupted");
    expect(await waits).toBe("answer 2");
    expect(workers.filter(({ alive }) => alive)).toHaveLength(2);
    await pool.close(closed);
    expect(await stays[1]).toBe("enough");
  });

  it("starts nothing after it was closed, and fails a task whose `done` throws", async () => {
    const { pool, ask, workers, tasks } = queueOf(1);
    const asked = ask({ number: 1, end: "answer" });
    tasks[0]!.done = () => {
      throw new Error("what an answer");
    };
    expect(await asked).toBe("what an answer");
    await pool.close(closed);
    void ask({ number: 2, end: "answer" });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(workers).toHaveLength(1);
  });
});
