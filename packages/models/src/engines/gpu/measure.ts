import { TesseraError } from "@tessera/core";
import type { Device } from "./device.js";
import { matmul } from "./kernels/matmul.js";
import { norm } from "./kernels/rows.js";
import type { Measurement } from "./protocol.js";
import { fromHalves, halves } from "./weights.js";

/**
 * Seconds of wall time from the first command to the bytes read back; everything was compiled and warm before.
 * @throws TesseraError MODEL_FAILED where a product is wrong.
 */
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
    let check = async (): Promise<void> => {};
    if (what.kind === "product") {
      const { inputs, outputs } = what;
      const type = half ? "f16" : "f32";
      const numbers = (length: number): GPUBuffer =>
        hold(device.from(half ? halves(random(length)) : random(length), "x and W"));
      const x = numbers(rows * inputs);
      const w = numbers(outputs * inputs);
      const y = hold(device.buffer((half ? 2 : 4) * rows * outputs, "y"));
      const product = matmul(
        { inputs, outputs, rows: "tokens", weights: type, from: type, to: type },
        rows,
        what.units === false ? undefined : device.info.units,
      );
      check = () => checkProduct(device, y, random, what, half);
      step = (commands) => {
        commands.run(
          product.kernel,
          [counts, x, w, y],
          [Math.ceil(rows / product.rows), Math.ceil(outputs / product.columns)],
        );
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
    const seconds = await run(what.kind === "product" ? what.repeats : what.count);
    await check();
    return seconds;
  } finally {
    device.release(held);
  }
}

/** Some places of the first rows beside their sums in double precision; a kernel that is fast and wrong is no figure. */
async function checkProduct(
  device: Device,
  y: GPUBuffer,
  random: (length: number) => Float32Array,
  { rows, inputs, outputs }: Measurement & { kind: "product" },
  half: boolean,
): Promise<void> {
  const stored = (values: Float32Array): Float32Array => (half ? fromHalves(halves(values)) : values);
  const [x, w] = [stored(random(rows * inputs)), stored(random(outputs * inputs))];
  const checked = Math.min(rows, 256);
  const [bytes] = await device.commands().read({ buffer: y, bytes: (half ? 2 : 4) * checked * outputs });
  const found = half ? fromHalves(new Uint16Array(bytes!)) : new Float32Array(bytes!);
  for (let i = 0; i < 500; i++) {
    const [r, o] = [(i * 37) % checked, (i * 101) % outputs];
    let sum = 0;
    for (let k = 0; k < inputs; k++) sum += x[r * inputs + k]! * w[o * inputs + k]!;
    const value = found[r * outputs + o]!;
    if (!(Math.abs(value - sum) <= (half ? 4e-3 : 1e-3) * Math.max(1, Math.abs(sum))))
      throw new TesseraError("MODEL_FAILED", `the product is ${value} at row ${r}, column ${o}, instead of ${sum}`);
  }
}
