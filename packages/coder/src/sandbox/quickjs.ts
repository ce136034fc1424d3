import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { TesseraError } from "@tessera/core";
import { admit, type Driver, defaultLimits, type Execution, type Limits, type Program } from "./driver.js";

/** How long after its limit a run may still answer before its thread is ended: native loops see interrupts late. */
const graceMs = 250;

interface Job {
  readonly program: Program;
  readonly limits: Limits;
  readonly settle: (result: Execution | TesseraError) => void;
}

interface Thread {
  readonly worker: Worker;
  ready: boolean;
  job?: Job | undefined;
  started: number;
  timer?: NodeJS.Timeout;
}

type Message = { ready: true } | { execution: Execution } | { broken: string };

/**
 * JavaScript in QuickJS compiled to WebAssembly, in a bounded pool of threads that are reused; every run has a fresh
 * runtime. Its memory is bounded by the maximum of the WebAssembly memory, which QuickJS's own limit is not (it was
 * measured at six times the limit). A thread that misses its time, runs out of memory or fails is thrown away.
 */
export function quickjs({
  workers = availableParallelism(),
  memoryMb = defaultLimits.memoryMb,
}: {
  /** Threads at most; each costs its memory limit. */
  workers?: number;
  /** The hard limit of a thread; the limit of a run can only be lower. */
  memoryMb?: number;
} = {}): Driver {
  const threads = new Set<Thread>();
  const queue: Job[] = [];
  let closed = false;

  /** Takes the job from a thread; a thread that is not kept is ended. */
  const release = (thread: Thread, keep: boolean): Job | undefined => {
    const { job } = thread;
    thread.job = undefined;
    clearTimeout(thread.timer);
    if (keep) thread.worker.unref();
    else {
      threads.delete(thread);
      void thread.worker.terminate();
    }
    return job;
  };

  const end = (thread: Thread, status: "timeout" | "memory", errors = ""): void => {
    const ms = performance.now() - thread.started;
    release(thread, false)?.settle({ status, exitCode: null, output: "", errors, ms });
  };

  const start = (thread: Thread, job: Job): void => {
    thread.job = job;
    thread.started = performance.now();
    thread.worker.ref();
    thread.timer = setTimeout(() => {
      end(thread, "timeout");
      pump();
    }, job.limits.wallMs + graceMs);
    thread.worker.postMessage({ program: job.program, limits: job.limits });
  };

  const spawn = (): void => {
    const worker = new Worker(new URL("./worker.js", import.meta.url), {
      workerData: { memoryMb },
      // text that leaves the guest is copied once into this heap
      resourceLimits: { maxOldGenerationSizeMb: 128 },
      // a thread does not take every flag that Node was started with
      execArgv: [],
      env: {},
    });
    const thread: Thread = { worker, ready: false, started: 0 };
    threads.add(thread);
    worker.on("message", (message: Message) => {
      if ("ready" in message) {
        thread.ready = true;
        worker.unref();
      } else if ("execution" in message)
        release(thread, message.execution.status !== "memory")?.settle(message.execution);
      else end(thread, "memory", `the sandbox failed: ${message.broken}\n`);
      pump();
    });
    worker.on("error", (cause) => {
      end(thread, "memory", `${cause.message}\n`);
      if (!thread.ready) {
        // a thread that cannot start would be started for ever
        const refused = new TesseraError("SANDBOX_REFUSED", "a thread of the sandbox cannot be started", { cause });
        for (const job of queue.splice(0)) job.settle(refused);
      }
      pump();
    });
  };

  function pump(): void {
    if (closed) return;
    for (const thread of threads) {
      if (queue.length === 0) return;
      if (thread.ready && !thread.job) start(thread, queue.shift()!);
    }
    const starting = [...threads].filter((thread) => !thread.ready).length;
    for (let n = starting; n < queue.length && threads.size < workers; n++) spawn();
  }

  // one listener a signal, however many of its jobs run
  const watched = new WeakMap<AbortSignal, Set<Job>>();
  function watch(signal: AbortSignal, job: Job): Set<Job> {
    let jobs = watched.get(signal);
    if (!jobs) {
      const all = new Set<Job>();
      signal.addEventListener("abort", () => all.forEach(cancel), { once: true });
      watched.set(signal, all);
      jobs = all;
    }
    return jobs.add(job);
  }

  function cancel(job: Job): void {
    const place = queue.indexOf(job);
    if (place >= 0) queue.splice(place, 1);
    for (const thread of threads) if (thread.job === job) release(thread, false);
    job.settle(new TesseraError("ABORTED", "the run was aborted", { path: "quickjs" }));
    pump();
  }

  const driver: Driver = {
    name: "quickjs",
    languages: ["javascript"],
    missing: async () => undefined,
    async run(program, limits, signal) {
      if (closed) throw new TesseraError("CLOSED", "the sandbox was closed", { path: "quickjs" });
      admit(driver, program, signal);
      return new Promise<Execution>((resolve, reject) => {
        const job: Job = {
          program,
          limits: { ...limits, memoryMb: Math.min(limits.memoryMb, memoryMb) },
          settle(result) {
            jobs?.delete(job);
            if (TesseraError.is(result)) reject(result);
            else resolve(result);
          },
        };
        const jobs = signal && watch(signal, job);
        queue.push(job);
        pump();
      });
    },
    async close() {
      closed = true;
      const error = new TesseraError("CLOSED", "the sandbox was closed", { path: "quickjs" });
      for (const job of queue.splice(0)) job.settle(error);
      await Promise.all(
        [...threads].map((thread) => {
          thread.job?.settle(error);
          clearTimeout(thread.timer);
          return thread.worker.terminate();
        }),
      );
      threads.clear();
    },
  };
  return driver;
}
