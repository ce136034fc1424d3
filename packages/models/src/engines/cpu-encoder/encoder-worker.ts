import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { gateCells, type WorkerSettings } from "../protocol.js";

/** The gates of all workers of this process. */
const gates = new Set<Int32Array<SharedArrayBuffer>>();
let guarded = false;

/** A process that ends while a worker is inside the runtime would abort; this makes it wait for the end of that run. */
function guard(gate: Int32Array<SharedArrayBuffer>): void {
  gates.add(gate);
  if (guarded) return;
  guarded = true;
  process.on("exit", () => {
    for (const gate of gates) Atomics.store(gate, gateCells.stop, 1);
    for (const gate of gates) Atomics.wait(gate, gateCells.busy, 1, 5000);
  });
}

/** A worker of the CPU engine. It is never stopped inside the runtime, which would abort the whole process. */
export class EncoderWorker extends Worker {
  private readonly gate: Int32Array<SharedArrayBuffer>;

  constructor(settings: Omit<WorkerSettings, "gate">) {
    const gate = new Int32Array(new SharedArrayBuffer(8));
    const workerData: WorkerSettings = { ...settings, gate };
    super(new URL("./worker.js", import.meta.url), { workerData, name: "tessera-encoder" });
    this.gate = gate;
    guard(gate);
    this.on("exit", () => gates.delete(gate));
  }

  override async terminate(): Promise<number> {
    Atomics.store(this.gate, gateCells.stop, 1);
    while (Atomics.load(this.gate, gateCells.busy) === 1) await sleep(1);
    return super.terminate();
  }
}
