// E3b's process: the encoder of models.ts as an ONNX graph on ONNX Runtime's WebGPU provider
import { messageOf } from "@tessera/core/internal";
import { encoderGraph, type Precision } from "@tessera/models/internal";
import { encoderOf } from "./models.js";
import { median } from "./report.js";

export interface Provided {
  /** Of one run over all texts. */
  readonly seconds: number;
  /** The first text's vector, of unit length. */
  readonly first: readonly number[];
}

interface Asked {
  readonly tiny: boolean;
  readonly precision: Precision;
  /** All of one length. */
  readonly texts: readonly (readonly number[])[];
}

async function run({ tiny, precision, texts }: Asked): Promise<Provided> {
  const { InferenceSession, Tensor } = (await import("onnxruntime-node")).default;
  const model = encoderOf(tiny);
  const session = await InferenceSession.create(encoderGraph(model, 12, precision), {
    executionProviders: ["webgpu"],
    logSeverityLevel: 3,
  });
  const ids = new Tensor("int32", Int32Array.from(texts.flat()), [texts.length * texts[0]!.length]);
  const shape = new Tensor("int64", BigInt64Array.from([texts.length, texts[0]!.length, model.hidden], BigInt), [3]);
  // outputs come back to the processor, as ours do
  const once = async (): Promise<Float32Array> => (await session.run({ ids, shape })).embedding!.data as Float32Array;
  const first = (await once()).slice(0, model.hidden);
  const norm = Math.hypot(...first);
  return { seconds: await median(tiny ? 1 : 7, once), first: Array.from(first, (value) => value / norm) };
}

process.once("message", async (asked: Asked) => {
  let reply: Provided | { error: string };
  try {
    reply = await run(asked);
  } catch (error) {
    reply = { error: messageOf(error) };
  }
  process.send!(reply);
});
