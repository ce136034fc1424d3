import { messageOf } from "@tessera/core/internal";
import { advancePtx, Cuda, productKernel } from "./cuda.js";
import { median, type Report } from "./report.js";
import type { TorchFigures } from "./torch.js";

/** Sizes of E1: inputs and outputs of the products. */
export const productSizes = [
  [384, 1152],
  [384, 1536],
  [1536, 384],
  [768, 3072],
] as const;

const nodes = 90;

/** The bits of a number that fp16 holds exactly. */
function halfBits(value: number): number {
  if (value === 0) return 0;
  const exponent = Math.floor(Math.log2(Math.abs(value)));
  const fraction = (Math.abs(value) / 2 ** exponent - 1) * 1024;
  return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | fraction;
}

const halfValue = (bits: number): number => {
  const exponent = (bits >> 10) & 31;
  const size = exponent === 0 ? (bits & 1023) * 2 ** -24 : (1 + (bits & 1023) / 1024) * 2 ** (exponent - 15);
  return bits & 0x8000 ? -size : size;
};

/** Multiples of 1/16 in [−1, 1), which fp16 and their sums of products in fp32 hold exactly. */
const sixteenths = (length: number, step: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => (((i * step) % 33) - 16) / 16);

/** E8: whether the reserve route would work: CUDA's driver by FFI, PTX that was compiled before, CUDA graphs. */
export async function reserve(report: Report, torch: TorchFigures, library = "libcuda.so.1"): Promise<void> {
  let cuda: Cuda;
  try {
    cuda = new Cuda(library);
  } catch (error) {
    report.missing("E8", "CUDA by FFI", `${library}: ${messageOf(error)}`);
    return;
  }
  report.figure("E8", "device by CUDA's driver", cuda.name, "");
  const { ptx, entry, threads, shared, tile } = await productKernel();
  const product = cuda.kernel(ptx, entry, shared);
  for (const [wide, far] of productSizes) {
    const [m, k, n] = report.tiny ? [tile[0], tile[2], tile[1]] : [16384, wide, far];
    const x = sixteenths(m * k, 7);
    const w = sixteenths(n * k, 11);
    const halves = (values: Float32Array): Uint8Array => new Uint8Array(Uint16Array.from(values, halfBits).buffer);
    const [left, right, result] = [cuda.put(halves(x)), cuda.put(halves(w)), cuda.put(new Uint8Array(2 * m * n))];
    const groups = (m / tile[0]) * (n / tile[1]);
    const once = (): void =>
      cuda.launch({ function: product, groups, threads, shared, arguments: [left, right, result, m, k, n, 0n, 0n] });
    const repeats = report.tiny ? 1 : 50;
    const seconds = await median(report.tiny ? 1 : 7, async () => {
      for (let i = 0; i < repeats; i++) once();
      cuda.wait();
    });
    const found = new Uint16Array(new Uint8Array(cuda.get(result, 2 * m * n)).buffer);
    for (let sample = 0; sample < 200; sample++) {
      const [row, column] = [(sample * 7919) % m, (sample * 104729) % n];
      let expected = 0;
      for (let i = 0; i < k; i++) expected += x[row * k + i]! * w[column * k + i]!;
      const value = halfValue(found[row * n + column]!);
      if (!(Math.abs(value - expected) <= Math.abs(expected) / 1024 + 1e-6))
        throw new Error(`the product has ${value} at ${row}, ${column}; it should be ${expected}`);
    }
    const rate = (2 * m * k * n * repeats) / seconds / 1e12;
    report.figure("E8", `compiled product ${m} × ${k} × ${n}`, rate, "TFLOP/s");
    const rival = torch.get(`product fp16 ${k} × ${n}`);
    if (rival !== undefined) report.figure("E8", `the same, of torch's`, rate / rival, "share", { least: 0.85 });
  }
  const advance = cuda.kernel(advancePtx, "advance");
  const x = cuda.put(new Uint8Array(256 * 4));
  const run = cuda.graph(() => {
    for (let i = 0; i < nodes; i++) cuda.launch({ function: advance, groups: 1, threads: 256, arguments: [x] });
  });
  const rounds = report.tiny ? 3 : 100;
  const seconds = await median(rounds, async () => run());
  const values = new Float32Array(new Uint8Array(cuda.get(x, 256 * 4)).buffer);
  if (!values.every((value) => value === nodes * (rounds + 1)))
    throw new Error(`a graph of ${nodes} nodes that ran ${rounds + 1} times counted to ${values[0]}`);
  report.figure("E8", `a graph of ${nodes} dependent kernels`, seconds * 1000, "ms", { most: 0.25 });
  cuda.close();
}
