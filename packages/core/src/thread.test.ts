import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it } from "@jest/globals";
import { TesseraError } from "./errors.js";
import { Thread } from "./thread.js";

type Job = { answer: number } | { fail: string } | { throw: string } | { exit: number } | "forever" | (() => void);

const errors = { name: "a test thread", code: "MODEL_FAILED", path: "here", hint: "ask again" } as const;
const fixture = new URL("./thread.fixture.js", import.meta.url);
const closed = new TesseraError("CLOSED", "enough");
const threads: Thread<Job, Float32Array>[] = [];
const open = (worker: Worker): Thread<Job, Float32Array> => {
  const thread = new Thread<Job, Float32Array>(worker, errors);
  threads.push(thread);
  return thread;
};
const saying = (code: string): Thread<Job, Float32Array> =>
  open(new Worker(`const { parentPort } = require("node:worker_threads"); ${code}`, { eval: true }));
afterEach(async () => {
  await Promise.all(threads.splice(0).map((thread) => thread.end(closed)));
});

describe("a thread", () => {
  it("answers one job after another, and tells what it could not do with the code that was thrown", async () => {
    const thread = open(new Worker(fixture));
    await thread.ready;
    expect(await thread.ask({ answer: 3 })).toEqual(Float32Array.of(3));
    await expect(thread.ask({ fail: "no" })).rejects.toMatchObject({
      code: "MODEL_FAILED",
      message: "no",
      path: "here",
    });
    await expect(thread.ask({ fail: "BAD_BUNDLE" })).rejects.toMatchObject({ code: "BAD_BUNDLE", message: "bad" });
    expect(await thread.ask({ answer: 4 })).toEqual(Float32Array.of(4));
    expect(thread.lost).toBe(false);
  });

  it("takes a job before it has started, and no second one while it works", async () => {
    const thread = open(new Worker(fixture));
    const first = thread.ask({ answer: 1 });
    await expect(thread.ask({ answer: 2 })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    expect(await first).toEqual(Float32Array.of(1));
  });

  it("refuses a job that cannot be sent, and lives on", async () => {
    const thread = open(new Worker(fixture));
    await expect(thread.ask(() => {})).rejects.toMatchObject({
      code: "MODEL_FAILED",
      cause: { name: "DataCloneError" },
    });
    expect(await thread.ask({ answer: 1 })).toEqual(Float32Array.of(1));
  });

  it("fails the job of a worker that throws or ends, with the cause, and every later one", async () => {
    for (const [job, message] of [
      // jest's own realm takes an error of another for a value that was thrown
      [{ throw: "out of luck" }, /^a test thread failed: (Error: )?out of luck$/],
      [{ exit: 3 }, /^a test thread ended with code 3$/],
    ] as const) {
      const thread = open(new Worker(fixture));
      await thread.ready;
      const error = await thread.ask(job).catch((error: unknown) => error);
      expect(error).toMatchObject({ ...errors, name: "TesseraError", message: expect.stringMatching(message) });
      if ("throw" in job) expect((error as TesseraError).cause).toHaveProperty("message", job.throw);
      expect(thread.lost).toBe(true);
      await expect(thread.ask({ answer: 1 })).rejects.toBe(error);
    }
  });

  it.each([
    ["nothing", "parentPort.postMessage(undefined)"],
    ["another kind", 'parentPort.postMessage({ kind: "hello" })'],
    ["an answer that nobody asked for", 'parentPort.postMessage({ kind: "answer", answer: 1 })'],
  ])("is lost when it says what is no reply: %s", async (_, code) => {
    const thread = saying(`${code}; parentPort.on("message", () => {});`);
    const error = { code: "MODEL_FAILED", message: "a test thread sent what is no reply" };
    await expect(thread.ready).rejects.toMatchObject(error);
    await expect(thread.ask({ answer: 1 })).rejects.toMatchObject(error);
  });

  it("says why it cannot start: by what it tells, by what it throws, or by its end", async () => {
    await expect(open(new Worker(fixture, { workerData: "no start" })).ready).rejects.toMatchObject({
      code: "DEPENDENCY_MISSING",
      message: "there is no engine",
      hint: "install one",
    });
    await expect(saying('throw new Error("broken")').ready).rejects.toMatchObject({
      message: expect.stringMatching(/^a test thread failed: .*broken$/),
    });
    await expect(saying("process.exit(5)").ready).rejects.toMatchObject({ message: "a test thread ended with code 5" });
  });

  it("fails what waits when it is ended", async () => {
    const thread = open(new Worker(fixture));
    await thread.ready;
    const job = expect(thread.ask("forever")).rejects.toBe(closed);
    await thread.end(closed);
    await job;
    await expect(thread.ask({ answer: 1 })).rejects.toBe(closed);
    const starting = open(new Worker(fixture));
    await starting.end(closed);
    await expect(starting.ready).rejects.toBe(closed);
  });

  it("keeps a process alive while it works, and not when it is idle", async () => {
    const folder = await mkdtemp(join(tmpdir(), "tessera-thread-"));
    const script = join(folder, "main.mjs");
    await writeFile(
      script,
      `import { Worker } from "node:worker_threads";
       import { Thread } from ${JSON.stringify(new URL("./thread.ts", import.meta.url).href)};
       const thread = new Thread(new Worker(new URL(${JSON.stringify(fixture.href)})), ${JSON.stringify(errors)});
       thread.ask({ answer: 1 }).then(() => thread.ask({ answer: 2 })).then(([two]) => { process.exitCode = two; });`,
    );
    try {
      const child = spawn(process.execPath, [...process.execArgv, script], { stdio: "ignore" });
      expect(await once(child, "exit")).toEqual([2, null]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
