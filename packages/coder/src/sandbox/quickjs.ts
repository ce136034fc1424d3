import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { Deferred, messageOf, TesseraError, Thread, ThreadPool, type ThreadTask } from "@tessera/core";
import { admit, type Driver, defaultLimits, type Execution, type Limits, type Program } from "./driver.js";

/** How long after its limit a run may still answer before its thread is ended: native loops see interrupts late. */
const graceMs = 250;

interface Job {
  readonly program: Program;
  readonly limits: Limits;
}

interface Run extends ThreadTask<Job, Execution> {
  readonly end: Deferred<Execution>;
  started: number;
  timer?: NodeJS.Timeout;
  /** Whether the thread can be used again. */
  spares: boolean;
}

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
  const waiting = new Set<Run>();
  let closed = false;
  const error = (code: "ABORTED" | "CLOSED", message: string) => new TesseraError(code, message, { path: "quickjs" });

  const pool = new ThreadPool<Job, Execution>({
    threads: workers,
    start() {
      const worker = new Worker(new URL("./worker.js", import.meta.url), {
        workerData: { memoryMb },
        // text that leaves the guest is copied once into this heap
        resourceLimits: { maxOldGenerationSizeMb: 128 },
        // a thread does not take every flag that Node was started with
        execArgv: [],
        env: {},
      });
      return new Thread(worker, { name: "a thread of the sandbox", code: "SANDBOX_REFUSED", path: "quickjs" });
    },
    take() {
      const [run] = waiting;
      if (!run) return undefined;
      waiting.delete(run);
      run.started = performance.now();
      run.timer = setTimeout(() => stop(run, "timeout"), run.job.limits.wallMs + graceMs);
      return run;
    },
    waiting: () => waiting.size,
    refuse(error) {
      for (const { end } of waiting) end.reject(error);
    },
  });

  function stop(run: Run, status: "timeout" | "memory", errors = ""): void {
    run.end.resolve({ status, exitCode: null, output: "", errors, ms: performance.now() - run.started });
  }

  const driver: Driver = {
    name: "quickjs",
    languages: ["javascript"],
    missing: async () => undefined,
    async run(program, limits, signal) {
      if (closed) throw error("CLOSED", "the sandbox was closed");
      admit(driver, program, signal);
      const run: Run = {
        job: { program, limits: { ...limits, memoryMb: Math.min(limits.memoryMb, memoryMb) } },
        started: 0,
        spares: false,
        end: new Deferred({
          signal,
          aborted: () => error("ABORTED", "the run was aborted"),
          ended() {
            clearTimeout(run.timer);
            waiting.delete(run);
            if (!run.spares) pool.interrupt(run, error("ABORTED", "the run has ended"));
          },
        }),
        done(execution) {
          run.spares = execution.status !== "memory";
          run.end.resolve(execution);
        },
        failed(cause) {
          if (closed) run.end.reject(cause);
          else stop(run, "memory", `${messageOf(cause)}\n`);
        },
      };
      waiting.add(run);
      pool.work();
      return run.end.promise;
    },
    async close() {
      closed = true;
      const gone = error("CLOSED", "the sandbox was closed");
      for (const { end } of waiting) end.reject(gone);
      await pool.close(gone);
    },
  };
  return driver;
}
