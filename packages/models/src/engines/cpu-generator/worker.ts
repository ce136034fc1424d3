// internal
import { parentPort, workerData } from "node:worker_threads";
import { GeneratorThread, StoppedError } from "./forward.js";
import { plan } from "./packed.js";
import type { Job, Reply, ThreadSettings } from "./protocol.js";

// One thread of a generator on the CPU. The weights and the cache lie in memory that all its threads share.

const { memory, packed, thread, stop, source } = workerData as ThreadSettings;
const port = parentPort!;
const reply = (message: Reply): void => port.postMessage(message);

if (source) plan(source.model, source.cache, source.precision, packed.threads.length).write(memory.buffer);
const generator = new GeneratorThread(packed, memory, thread, () => Atomics.load(stop, 0) === 1);

port.on("message", (job: Job) => {
  try {
    reply({ kind: "result", result: generator.step(job) });
  } catch (error) {
    if (error instanceof StoppedError) reply({ kind: "stopped" });
    else reply({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
  }
});
reply({ kind: "ready" });
