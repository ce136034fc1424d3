// public: EngineKind, EngineChoice, chooseEngine
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { cpuEngine } from "../cpu.js";
import type { Engine } from "../engine.js";
import { type GpuEngine, type GpuEngineSettings, gpuEngine } from "./engine.js";
import { type Machine, RefusalCache, thisMachine, withoutGpu } from "./presence.js";
import { selfTest } from "./self-test.js";

/** Which engine to use. "auto" uses a GPU if one passes its self-test. */
export type EngineKind = "auto" | "cpu" | "gpu";

/** The engine that was chosen, and why. */
export interface EngineChoice {
  readonly engine: Engine;
  /** Which engine it is, and why, in one line. */
  readonly reason: string;
  /** Closes the engine. Close its sessions before. */
  close(): Promise<void>;
}

/**
 * Chooses an engine. "auto" uses the GPU if it is not emulated in software and passes the self-test, otherwise the CPU.
 * It starts no driver on a machine without a GPU, and remembers a refusal of the same drivers for a day (in
 * $XDG_CACHE_HOME/tessera). "gpu" uses the GPU, also an emulated one, or fails.
 * @throws TesseraError DEPENDENCY_MISSING or MODEL_FAILED for "gpu" if there is none, or if it computes wrong results.
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
  const refusals = kind === "auto" && settings.driver === undefined ? await RefusalCache.of(machine) : undefined;
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
    engine: kind === "auto" ? withCpuBehind(gpu) : gpu,
    reason: `engine gpu: ${gpu.info.device}, ${gpu.info.dtype}${kind === "gpu" ? ", asked for" : ", self-test passed"}`,
    async close() {
      await gpu.close();
    },
  };
}

/**
 * The GPU as an engine that opens for each model and ends with it: for comparisons, where a machine without a GPU is no
 * failure. Where the load fails, the GPU's process has ended before the error is thrown.
 * @throws TesseraError from a load: DEPENDENCY_MISSING where there is no GPU, or only one in software and no `driver` names
 * it; else as the loads of `gpuEngine`.
 */
export function gpuOnDemand(settings: GpuEngineSettings = {}): Engine {
  const info = { kind: "gpu" as const, device: "not opened", dtype: settings.precision ?? "fp16" };
  /** A session on a GPU of its own, and what ends that GPU. */
  const open = async <Session>(
    load: (gpu: GpuEngine) => Promise<Session>,
  ): Promise<{ session: Session; close(): Promise<void> }> => {
    const gpu = await gpuEngine(settings);
    try {
      if (gpu.software && settings.driver === undefined)
        throw new TesseraError("DEPENDENCY_MISSING", `${gpu.info.device} is a GPU in software`);
      Object.assign(info, gpu.info);
      return { session: await load(gpu), close: async () => void (await gpu.close()) };
    } catch (error) {
      await gpu.close();
      throw error;
    }
  };
  return {
    info,
    async loadEncoder(model) {
      const { session, close } = await open((gpu) => gpu.loadEncoder(model));
      const { exits, hidden } = session;
      return { exits, hidden, encode: (batch, exit, signal) => session.encode(batch, exit, signal), close };
    },
    async loadDecoder(model, cache) {
      const { session, close } = await open((gpu) => gpu.loadDecoder(model, cache));
      return { ...cache, step: (batch, signal) => session.step(batch, signal), close };
    },
  };
}

/** The GPU, and the CPU for encoders that it has no kernels for. */
const withCpuBehind = (gpu: GpuEngine): Engine => ({
  info: gpu.info,
  loadDecoder: (model, cache) => gpu.loadDecoder(model, cache),
  async loadEncoder(model) {
    try {
      return await gpu.loadEncoder(model);
    } catch (error) {
      if (TesseraError.is(error) && error.code === "MISSING_CAPABILITY") return cpuEngine().loadEncoder(model);
      throw error;
    }
  },
});
