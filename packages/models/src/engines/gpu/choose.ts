import { messageOf, TesseraError } from "@tessera/core";
import type { EncoderModel, Matrix } from "../../encoder-model.js";
import { type Engine, ragged } from "../../engine.js";
import { randomStream } from "../../random-encoder.js";
import { cpuEngine } from "../cpu.js";
import { referenceVectors } from "../reference.js";
import { type GpuEngine, type GpuEngineSettings, gpuEngine } from "./engine.js";
import { type Machine, Refusals, thisMachine, withoutGpu } from "./presence.js";

export type EngineKind = "auto" | "cpu" | "gpu";

export interface EngineChoice {
  readonly engine: Engine;
  /** One line: which engine it is, and why. */
  readonly reason: string;
  /** Ends what the engine itself holds; sessions are closed before. */
  close(): Promise<void>;
}

/**
 * "auto" takes the GPU if there is one that is no software and that passes its self-test, else the CPU. It asks no driver
 * where the machine has no GPU, and a refusal of the same drivers is believed for a day (in $XDG_CACHE_HOME/tessera), so
 * that it costs nothing where there is nothing to gain. "gpu" takes the GPU or fails, and takes one in software too.
 * @throws TesseraError DEPENDENCY_MISSING or MODEL_FAILED for "gpu" where there is none, or it computes wrongly.
 */
export async function chooseEngine(
  kind: EngineKind = "auto",
  settings: GpuEngineSettings & { readonly machine?: Machine | undefined } = {},
): Promise<EngineChoice> {
  const onCpu = (why: string): EngineChoice => ({
    engine: cpuEngine(),
    reason: `engine cpu: ${why.split("\n", 1)[0]}`,
    async close() {},
  });
  if (kind === "cpu") return onCpu("asked for");
  const machine = settings.machine ?? thisMachine();
  const absent = kind === "auto" && settings.driver === undefined ? await withoutGpu(machine) : undefined;
  if (absent !== undefined) return onCpu(absent);
  const refusals = kind === "auto" && settings.driver === undefined ? await Refusals.of(machine) : undefined;
  const refused = await refusals?.get();
  if (refused !== undefined) return onCpu(`${refused} (as found before)`);
  let gpu: GpuEngine;
  try {
    gpu = await gpuEngine(settings);
  } catch (error) {
    if (kind === "gpu") throw error;
    await refusals?.keep(messageOf(error).split("\n", 1)[0]!);
    return onCpu(messageOf(error));
  }
  const refuse = async (reason: string): Promise<EngineChoice> => {
    await gpu.close();
    await refusals?.keep(reason);
    if (kind === "auto") return onCpu(reason);
    throw new TesseraError("MODEL_FAILED", reason, { hint: "use the CPU engine" });
  };
  if (kind === "auto" && gpu.software) return refuse(`${gpu.info.device} is a GPU in software`);
  const failure = await selfTest(gpu);
  if (failure !== undefined) return refuse(`${gpu.info.device} fails its self-test: ${failure}`);
  return {
    engine: gpu,
    reason: `engine gpu: ${gpu.info.device}, ${gpu.info.dtype}${kind === "gpu" ? ", asked for" : ", self-test passed"}`,
    async close() {
      await gpu.close();
    },
  };
}

/**
 * Encodes a few random inputs by a small random encoder and compares with the reference.
 * @returns what is wrong, or undefined
 */
export async function selfTest(engine: Engine): Promise<string | undefined> {
  const model = testEncoder();
  const texts = [[0], [1, 2, 3, 4, 5], Array.from({ length: 100 }, (_, i) => (i * 7) % 32)];
  try {
    const session = await engine.loadEncoder(model);
    try {
      const vectors = await session.encode(ragged(texts), 2);
      for (const [i, ids] of texts.entries()) {
        const expected = referenceVectors(model, Int32Array.from(ids)).get(2)!;
        const cosine = expected.reduce((sum, value, j) => sum + value * vectors[i * model.hidden + j]!, 0);
        // a vector that is not of numbers fails too
        if (!(cosine >= 0.9995)) return `a vector has a cosine of ${cosine.toFixed(4)} with the reference`;
      }
      return undefined;
    } finally {
      await session.close();
    }
  } catch (error) {
    return messageOf(error);
  }
}

function testEncoder(): EncoderModel {
  const hidden = 48;
  const random = randomStream(7);
  const matrix = (rows: number, columns: number): Matrix => {
    const values = Float32Array.from({ length: rows * columns }, () => (2 * random() - 1) * Math.sqrt(3 / columns));
    return { rows, columns, values };
  };
  const norm = { kind: "rms", epsilon: 1e-6, weight: new Float32Array(hidden).fill(1) } as const;
  const frame = { before: [], after: [], maxTokens: 128 };
  return {
    name: "self-test",
    revision: "1",
    architecture: "self-test",
    hidden,
    heads: 3,
    keyValueHeads: 3,
    ropeTheta: 10000,
    pooling: "mean",
    embedding: matrix(32, hidden),
    blocks: Array.from({ length: 2 }, () => ({
      attentionNorm: norm,
      query: matrix(hidden, hidden),
      key: matrix(hidden, hidden),
      value: matrix(hidden, hidden),
      output: matrix(hidden, hidden),
      feedforwardNorm: norm,
      gate: matrix(80, hidden),
      up: matrix(80, hidden),
      down: matrix(hidden, 80),
    })),
    exits: [{ layer: 2, norm, projection: matrix(hidden, hidden) }],
    widths: [hidden],
    frames: { query: frame, code: frame, text: frame },
    pairs: [],
    default: { query: 2, index: 2 },
  };
}

/**
 * The GPU as an engine that opens with its first model and ends with its last: for comparisons, where a machine without
 * one is no failure. A GPU in software counts as none.
 */
export function gpuOnDemand(settings: GpuEngineSettings = {}): Engine {
  const info = { kind: "gpu" as const, device: "not opened", dtype: settings.precision ?? "fp16" };
  return {
    info,
    async loadEncoder(model) {
      const gpu = await gpuEngine(settings);
      try {
        if (gpu.software && settings.driver === undefined)
          throw new TesseraError("DEPENDENCY_MISSING", `${gpu.info.device} is a GPU in software`);
        Object.assign(info, gpu.info);
        const session = await gpu.loadEncoder(model);
        return {
          exits: session.exits,
          hidden: session.hidden,
          encode: (batch, exit, signal) => session.encode(batch, exit, signal),
          async close() {
            await gpu.close();
          },
        };
      } catch (error) {
        await gpu.close();
        throw error;
      }
    },
  };
}
