import { workerData } from "node:worker_threads";
import { TesseraError } from "./errors.js";
import { answerJobs } from "./thread.js";

// A thread for the tests: a job is what it shall do.

await answerJobs(
  () => {
    if (workerData === "no start")
      throw new TesseraError("DEPENDENCY_MISSING", "there is no engine", { hint: "install one" });
    return async (job: { answer: number } | { fail: string } | { throw: string } | { exit: number } | "forever") => {
      if (job === "forever") return new Promise<Float32Array>(() => {});
      if ("exit" in job) process.exit(job.exit);
      if ("throw" in job)
        setImmediate(() => {
          throw new Error(job.throw);
        });
      if ("fail" in job) throw job.fail === "BAD_BUNDLE" ? new TesseraError(job.fail, "bad") : new Error(job.fail);
      return "answer" in job ? Float32Array.of(job.answer) : new Promise<Float32Array>(() => {});
    };
  },
  (answer) => [answer.buffer as ArrayBuffer],
);
