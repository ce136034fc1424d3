// internal
import type { Device } from "./device.js";
import { matmul, tile } from "./kernels/matmul.js";
import { norm } from "./kernels/rows.js";
import { halves } from "./weights.js";

/** A bare measurement on the device, outside any model. */
export type Measurement =
  /** x [rows, inputs] times W [outputs, inputs], `repeats` times in one command list. */
  | {
      readonly kind: "product";
      readonly rows: number;
      readonly inputs: number;
      readonly outputs: number;
      readonly repeats: number;
    }
  /** `count` small kernels, each of which reads what the one before wrote, and 4 bytes read back. */
  | { readonly kind: "dispatches"; readonly count: number };

/** Seconds of wall time from the first command to the bytes read back; everything was compiled and warm before. */
export async function measure(device: Device, what: Measurement, half: boolean): Promise<number> {
  const held: GPUBuffer[] = [];
  const hold = (buffer: GPUBuffer): GPUBuffer => {
    held.push(buffer);
    return buffer;
  };
  try {
    const rows = what.kind === "product" ? what.rows : 1;
    const counts = hold(device.from(Uint32Array.of(rows, 0, 0, 0), "counts"));
    const random = (length: number): Float32Array =>
      Float32Array.from({ length }, (_, i) => ((i * 7919) % 1021) / 1021 - 0.5);
    const run = async (repeats: number): Promise<number> => {
      const start = performance.now();
      const commands = device.commands();
      for (let i = 0; i < repeats; i++) step(commands, i);
      await commands.read({ buffer: counts, bytes: 4 });
      return (performance.now() - start) / 1000;
    };
    let step: (commands: ReturnType<Device["commands"]>, i: number) => void;
    if (what.kind === "product") {
      const { inputs, outputs } = what;
      const x = hold(device.from(random(rows * inputs), "x"));
      const values = random(outputs * inputs);
      const w = hold(device.from(half ? halves(values) : values, "w"));
      const y = hold(device.buffer(4 * rows * outputs, "y"));
      const kernel = matmul({ inputs, outputs, rows: "tokens", weights: half ? "f16" : "f32" });
      step = (commands) => {
        commands.run(kernel, [counts, x, w, y], [Math.ceil(rows / tile), Math.ceil(outputs / tile)]);
      };
    } else {
      const pair = [random(64), random(64)].map((values) => hold(device.from(values, "x")));
      const weight = hold(device.from(random(64), "weight"));
      const kernel = norm(64, { kind: "rms", epsilon: 1e-5 }, "tokens");
      step = (commands, i) => {
        commands.run(kernel, [counts, pair[i % 2]!, weight, pair[(i + 1) % 2]!], [1]);
      };
    }
    await run(2);
    return await run(what.kind === "product" ? what.repeats : what.count);
  } finally {
    device.release(held);
  }
}
