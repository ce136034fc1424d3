import { openDevice } from "../device.js";
import type { Kernel } from "./kernel.js";

/** One kernel over named buffers; those it writes are read back. */
export interface KernelRun {
  readonly number: number;
  readonly kernels: readonly {
    kernel: Kernel;
    groups: readonly [number, number?] | { readonly indirect: string; readonly at: number };
  }[];
  readonly buffers: Readonly<Record<string, Float32Array | Uint32Array | Uint16Array>>;
  readonly read: readonly string[];
}

const device = await openDevice(2 ** 30);
let last: Promise<void> = Promise.resolve();
process.on("message", ({ number, kernels, buffers, read }: KernelRun) => {
  last = last.then(async () => {
    let held = new Map<string, GPUBuffer>();
    try {
      held = new Map(Object.entries(buffers).map(([name, values]) => [name, device.from(values, name, true)]));
      const commands = device.commands();
      for (const { kernel, groups } of kernels)
        commands.run(
          kernel,
          kernel.buffers.map((name) => held.get(name)!),
          "indirect" in groups ? { dispatch: held.get(groups.indirect)!, at: groups.at } : groups,
        );
      const bytes = await commands.read(
        ...read.map((name) => ({ buffer: held.get(name)!, bytes: buffers[name]!.byteLength })),
      );
      process.send!({ number, answers: bytes.map((part) => new Uint8Array(part)) });
    } catch (error) {
      process.send!({ number, error: String(error) });
    }
    device.release(held.values());
  });
});
process.on("disconnect", () => process.exit(0));
process.send!(device.info);
