// internal
import { parentPort, workerData } from "node:worker_threads";
import { messageOf } from "@tessera/core";
import type { InferenceSession } from "onnxruntime-node";
import { unit } from "../encoder-model.js";
import { segmentGraph, segmentsOf } from "./encoder-graph.js";
import { gateCells, type Job, type Reply, type WorkerSettings } from "./protocol.js";

// One thread of the CPU engine: it builds the ONNX graphs and owns the sessions. The runtime is loaded only here:
// its `run` holds the thread that calls it.

const { model, precision, gate } = workerData as WorkerSettings;
const port = parentPort!;
const reply = (message: Reply, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);
const segments = segmentsOf(model);
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

try {
  const { InferenceSession, Tensor } = (await import("onnxruntime-node")).default;

  /** The session of a segment, built when it is first needed. */
  const sessionOf = async (i: number): Promise<InferenceSession> => {
    const session =
      sessions.get(i) ??
      (await native(() =>
        InferenceSession.create(segmentGraph(model, segments[i]!, precision), {
          intraOpNumThreads: 1,
          interOpNumThreads: 1,
          executionMode: "sequential",
          logSeverityLevel: 3,
        }),
      ));
    sessions.set(i, session);
    return session;
  };

  const encode = async ({ ids, texts, length, exit }: Job): Promise<Float32Array> => {
    const shape = new Tensor("int64", BigInt64Array.from([texts, length, model.hidden], BigInt), [3]);
    let feeds: Record<string, InstanceType<typeof Tensor>> = { ids: new Tensor("int32", ids, [ids.length]) };
    for (const [i, segment] of segments.entries()) {
      const session = await sessionOf(i);
      const results = await native(() => session.run({ ...feeds, shape }));
      if (segment.exit !== exit) {
        feeds = { trunk_in: results.trunk as InstanceType<typeof Tensor> };
        continue;
      }
      const embeddings = results.embedding!.data as Float32Array;
      const vectors = new Float32Array(texts * model.hidden);
      for (let text = 0; text < texts; text++) {
        const from = text * model.hidden;
        vectors.set(unit(embeddings.subarray(from, from + model.hidden)), from);
      }
      return vectors;
    }
    throw new Error(`there is no exit at layer ${exit}`);
  };

  port.on("message", async (job: Job) => {
    try {
      const vectors = await encode(job);
      reply({ kind: "vectors", vectors }, [vectors.buffer as ArrayBuffer]);
    } catch (error) {
      reply({ kind: "failed", message: messageOf(error) });
    }
  });
  reply({ kind: "ready" });
} catch (error) {
  reply({ kind: "missing", message: messageOf(error) });
}
