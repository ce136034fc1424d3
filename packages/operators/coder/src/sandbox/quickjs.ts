// public: quickjs
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { TesseraError } from "@tessera/core";
import { messageOf, missing, Thread, ThreadQueue } from "@tessera/core/internal";
import { admit, type Driver, defaultLimits, type Execution, type Limits, type Program } from "./driver.js";

/** How long after its limit a run may still answer before its thread is ended: native loops see interrupts late. */
const graceMs = 250;

interface Job {
  readonly program: Program;
  readonly limits: Limits;
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
  const error = (code: "ABORTED" | "CLOSED", message: string) => new TesseraError(code, message, { path: "quickjs" });
  const ended = (status: "timeout" | "memory", ms: number, errors = ""): Execution => ({
    status,
    exitCode: null,
    output: "",
    errors,
    ms,
  });
  const queue = new ThreadQueue<Job, Execution>({
    threads: workers,
    start() {
      const worker = new Worker(new URL("./worker.js", import.meta.url), {
        workerData: { memoryMb },
        // text that leaves the guest is copied once into this heap
        resourceLimits: { maxOldGenerationSizeMb: 128, stackSizeMb: 16 },
        // what the WebAssembly says as it breaks is no word of the host's
        stderr: true,
        // a thread does not take every flag that Node was started with
        execArgv: [],
        env: {},
      });
      return new Thread(worker, { name: "a thread of the sandbox", code: "SANDBOX_REFUSED", path: "quickjs" });
    },
    limitMs: ({ limits }) => limits.wallMs + graceMs,
    late: (ms) => ended("timeout", ms),
    failed: (error, ms) => ended("memory", ms, `${messageOf(error)}\n`),
    reusable: ({ status }) => status !== "memory",
  });

  const driver: Driver = {
    name: "quickjs",
    languages: ["javascript"],
    async missing() {
      const require = createRequire(import.meta.url);
      for (const name of ["@jitl/quickjs-wasmfile-release-sync", "quickjs-emscripten-core"])
        try {
          require.resolve(name);
        } catch (cause) {
          missing(name, "quickjs")(cause);
        }
      return undefined;
    },
    async run(program, limits, signal) {
      admit(driver, program, signal);
      const job: Job = { program, limits: { ...limits, memoryMb: Math.min(limits.memoryMb, memoryMb) } };
      return queue.run(job, { signal, aborted: () => error("ABORTED", "the run was aborted") });
    },
    close: () => queue.close(error("CLOSED", "the sandbox was closed")),
  };
  return driver;
}
