import { workerData } from "node:worker_threads";
import { answerJobs, missing } from "@tessera/core/internal";
import type { InferenceSession } from "onnxruntime-node";
import { unit } from "../../architectures/encoder.js";
import { gateCells, type Job, type WorkerSettings } from "../protocol.js";
import { exitGraph } from "./exit-graph.js";

// One thread of the CPU engine: it builds the ONNX graphs and owns the sessions. The runtime is loaded only here:
// its `run` holds the thread that calls it.

const { model, precision, gate } = workerData as WorkerSettings;
const sessions = new Map<number, InferenceSession>();

/** Every call into the runtime goes through the gate. */
async function native<T>(work: () => Promise<T>): Promise<T> {
  Atomics.store(gate, gateCells.busy, 1);
  try {
    if (Atomics.load(gate, gateCells.stop) === 1) throw new Error("the thread is closing");
    return await work();
  } finally {
    Atomics.store(gate, gateCells.busy, 0);
    Atomics.notify(gate, gateCells.busy);
  }
}

async function start(): Promise<(job: Job) => Promise<Float32Array>> {
  const { InferenceSession, Tensor } = (await import("onnxruntime-node").catch(missing("onnxruntime-node"))).default;

  /** The session of an exit, built when a text first leaves there. */
  const sessionOf = async (exit: number): Promise<InferenceSession> => {
    const session =
      sessions.get(exit) ??
      (await native(() =>
        InferenceSession.create(exitGraph(model, exit, precision), {
          intraOpNumThreads: 1,
          interOpNumThreads: 1,
          executionMode: "sequential",
          logSeverityLevel: 3,
        }),
      ));
    sessions.set(exit, session);
    return session;
  };

  return async ({ ids, texts, length, exit }) => {
    const session = await sessionOf(exit);
    const shape = new Tensor("int64", BigInt64Array.from([texts, length, model.hidden], BigInt), [3]);
    const results = await native(() => session.run({ ids: new Tensor("int32", ids, [ids.length]), shape }));
    const embeddings = results.embedding!.data as Float32Array;
    if (model.lengths === "kept") return Float32Array.from(embeddings);
    const vectors = new Float32Array(texts * model.hidden);
    for (let from = 0; from < vectors.length; from += model.hidden)
      vectors.set(unit(embeddings.subarray(from, from + model.hidden)), from);
    return vectors;
  };
}

await answerJobs(start, (vectors) => [vectors.buffer as ArrayBuffer]);
