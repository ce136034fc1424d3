import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { mulberry32 } from "@tessera/core/internal";
import { halfDriver, needs, softwareDriver, withoutDriver, withoutHalf, withoutUnits } from "@tessera/testkit";
import fc from "fast-check";
import type {} from "../device.js";
import { launchWith } from "../launch.js";
import type { DeviceInfo } from "../protocol.js";
import { fromHalves, halves } from "../weights.js";
import type { Kernel, Numbers } from "./kernel.js";
import type { KernelRun } from "./process.fixture.js";

function start(driver: string): ChildProcess {
  return fork(fileURLToPath(new URL("./process.fixture.ts", import.meta.url)), {
    serialization: "advanced",
    ...launchWith(driver),
  });
}
const children: Record<Numbers, ChildProcess | undefined> = {
  f32: softwareDriver === undefined ? undefined : start(softwareDriver),
  f16: halfDriver === undefined ? undefined : start(halfDriver),
};
const none: Pick<DeviceInfo, "features" | "units"> = { features: [], units: undefined };
const infoOf = async (child: ChildProcess | undefined): Promise<typeof none> =>
  child ? ((await once(child, "message")) as [DeviceInfo])[0] : none;
const [, half] = await Promise.all([infoOf(children.f32), infoOf(children.f16)]);

/** The matrix units of the device that computes fp16. */
export const { units } = half;

/** Ends the devices' processes, and waits for their ends. */
export async function closeDevices(): Promise<void> {
  await Promise.all(
    Object.values(children).map(async (child) => {
      if (!child?.connected) return;
      const ended = once(child, "exit");
      child.disconnect();
      await ended;
    }),
  );
}

export const onDevice = needs(children.f32 !== undefined, withoutDriver);
export const onHalf = needs(half.features.includes("shader-f16"), withoutHalf);
export const onUnits = needs(units !== undefined, withoutUnits);

/** A test for each kind of numbers. */
export function onBoth(name: string, work: (numbers: Numbers) => Promise<void>): void {
  onDevice(`${name}, fp32`, () => work("f32"));
  onHalf(`${name}, fp16`, () => work("f16"));
}

let runs = 0;
/** Runs kernels over named buffers, on the device for these numbers; what is read back comes as it went in. */
export async function run(
  request: Omit<KernelRun, "number">,
  numbers: Numbers = "f32",
): Promise<Record<string, Float32Array | Uint32Array | Uint16Array>> {
  const child = children[numbers]!;
  const number = runs++;
  child.send({ ...request, number });
  let reply: { number: number; answers?: Uint8Array[]; error?: string };
  do [reply] = (await once(child, "message")) as [typeof reply];
  while (reply.number !== number);
  if (reply.error !== undefined) throw new Error(reply.error);
  return Object.fromEntries(
    reply.answers!.map((bytes, i) => {
      const name = request.read[i]!;
      const kind = request.buffers[name]!.constructor as new (buffer: ArrayBuffer) => Float32Array;
      return [name, new kind(Uint8Array.from(bytes).buffer)];
    }),
  );
}

export const one = (kernel: Kernel, x: number, y = 1): KernelRun["kernels"][number] => ({ kernel, groups: [x, y] });

/** Numbers as a buffer holds them. */
export const stored = (values: Float32Array, numbers: Numbers): Float32Array | Uint16Array =>
  numbers === "f16" ? halves(values) : values;

/** The numbers that a buffer holds. */
export const read = (values: ArrayLike<number> | undefined): Float32Array =>
  values instanceof Uint16Array ? fromHalves(values) : Float32Array.from(values!);

/** What the device sees of these numbers. */
export const rounded = (values: Float32Array, numbers: Numbers): Float32Array => read(stored(values, numbers));

/** An output in which every place that is not written is seen. */
export const poisoned = (length: number, numbers: Numbers = "f32"): Float32Array | Uint16Array =>
  numbers === "f16" ? new Uint16Array(length).fill(0x7e00) : new Float32Array(length).fill(Number.NaN);

export const floats = (random: () => number, length: number): Float32Array =>
  Float32Array.from({ length }, () => 2 * random() - 1);

/** Within `tolerance` of the size of the expected number, at least of 1; fp16 rounds to eleven bits. */
export function expectClose(
  actual: ArrayLike<number> | undefined,
  expected: ArrayLike<number>,
  numbers: Numbers = "f32",
  tolerance = 1e-4,
): void {
  const values = read(actual);
  if (values.length !== expected.length) throw new Error(`${values.length} numbers instead of ${expected.length}`);
  const allowed = numbers === "f16" ? Math.max(tolerance, 2e-3) : tolerance;
  for (const [i, value] of values.entries())
    if (!(Math.abs(value - expected[i]!) <= allowed * Math.max(1, Math.abs(expected[i]!))))
      throw new Error(`at ${i}: ${value} instead of ${expected[i]}`);
}

/** A few random cases of four whole numbers of 1 to `most`, each with a stream of random numbers. */
export async function cases(
  numRuns: number,
  most: readonly [number, number, number, number],
  work: (sizes: [number, number, number, number], random: () => number) => Promise<void>,
): Promise<void> {
  const size = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(size(most[0]), size(most[1]), size(most[2]), size(most[3])),
      fc.integer({ min: 1, max: 1e9 }),
      (sizes, seed) => work(sizes, mulberry32(seed)),
    ),
    { numRuns, endOnFailure: true },
  );
}
