import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { EncoderModel } from "../../architectures/encoder.js";
import { encoderModel } from "../../architectures/tessera-encoder.js";
import { readBundle } from "../../formats/bundle.js";
import { writeRandomEncoder } from "../../tools/random-encoder.js";
import { referenceVectors } from "../reference/engine.js";
import { encoderGraph, type Precision } from "./graph-of-encoder.js";

let folder: string;
let model: EncoderModel;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-onnx-"));
  await writeRandomEncoder(folder, { shape: "tiny", golden: 1 });
  model = encoderModel(await readBundle(folder));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The runtime wants arrays of its own realm, which jest's are not: it runs in a thread, which ends by itself. */
const program = `
  const { parentPort, workerData: { graph, ids, texts, hidden } } = require("node:worker_threads");
  const { InferenceSession, Tensor } = require(${JSON.stringify(createRequire(import.meta.url).resolve("onnxruntime-node"))});
  (async () => {
    const session = await InferenceSession.create(graph, { intraOpNumThreads: 1 });
    const { embedding } = await session.run({
      ids: new Tensor("int32", ids, [ids.length]),
      shape: new Tensor("int64", BigInt64Array.from([texts, ids.length / texts, hidden], BigInt), [3]),
    });
    await session.release();
    parentPort.postMessage(embedding.data);
  })();
`;

async function run(graph: Uint8Array): Promise<Float32Array> {
  const workerData = { graph, ids: Int32Array.from(texts.flat()), texts: texts.length, hidden: model.hidden };
  const worker = new Worker(program, { eval: true, workerData });
  const [found] = await Promise.all([once(worker, "message"), once(worker, "exit")]);
  return found[0] as Float32Array;
}

const texts = [
  [1, 2, 3, 4, 5, 6, 7],
  [9, 150, 9, 3, 0, 77, 12],
  [8, 8, 8, 8, 8, 8, 8],
];

describe("an encoder as one ONNX model", () => {
  it.each([
    ["fp32", 1 - 1e-6],
    ["fp16", 0.9995],
    ["int8", 0.99],
  ] as [Precision, number][])("computes in %s what the reference does, at every exit", async (precision, least) => {
    for (const { layer } of model.exits) {
      const embedding = await run(encoderGraph(model, layer, precision));
      for (const [i, ids] of texts.entries()) {
        const expected = referenceVectors(model, Int32Array.from(ids), layer).get(layer)!;
        const found = embedding.subarray(i * model.hidden, (i + 1) * model.hidden);
        const dot = expected.reduce((sum, value, j) => sum + value * found[j]!, 0);
        expect(dot / Math.hypot(...found)).toBeGreaterThan(least);
      }
    }
  });

  it("has only the exits of the model", () => {
    expect(() => encoderGraph(model, 3, "fp32")).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
  });
});
