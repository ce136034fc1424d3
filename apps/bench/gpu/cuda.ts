import { readFile } from "node:fs/promises";
import koffi from "koffi";

// The reserve route of experiment E8: CUDA's driver by its C interface, with kernels that were compiled before.

/** A device address or a handle; both are 64 bits. */
export type Handle = bigint;

/** What a kernel gets: an address, or a whole number of 32 bits. */
export type Argument = bigint | number;

const signatures = {
  cuInit: "int cuInit(uint32_t flags)",
  cuGetErrorString: "int cuGetErrorString(int error, _Out_ const char **text)",
  cuDeviceGet: "int cuDeviceGet(_Out_ int *device, int ordinal)",
  cuDeviceGetName: "int cuDeviceGetName(void *name, int length, int device)",
  cuDevicePrimaryCtxRetain: "int cuDevicePrimaryCtxRetain(_Out_ uint64_t *context, int device)",
  cuDevicePrimaryCtxRelease: "int cuDevicePrimaryCtxRelease_v2(int device)",
  cuCtxSetCurrent: "int cuCtxSetCurrent(uint64_t context)",
  cuModuleLoadData: "int cuModuleLoadData(_Out_ uint64_t *module, void *image)",
  cuModuleGetFunction: "int cuModuleGetFunction(_Out_ uint64_t *function, uint64_t module, const char *name)",
  cuFuncSetAttribute: "int cuFuncSetAttribute(uint64_t function, int attribute, int value)",
  cuMemAlloc: "int cuMemAlloc_v2(_Out_ uint64_t *address, size_t bytes)",
  cuMemcpyHtoD: "int cuMemcpyHtoD_v2(uint64_t to, void *from, size_t bytes)",
  cuMemcpyDtoH: "int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes)",
  cuStreamCreate: "int cuStreamCreate(_Out_ uint64_t *stream, uint32_t flags)",
  cuStreamSynchronize: "int cuStreamSynchronize(uint64_t stream)",
  cuStreamBeginCapture: "int cuStreamBeginCapture_v2(uint64_t stream, int mode)",
  cuStreamEndCapture: "int cuStreamEndCapture(uint64_t stream, _Out_ uint64_t *graph)",
  cuGraphInstantiate: "int cuGraphInstantiateWithFlags(_Out_ uint64_t *executable, uint64_t graph, uint64_t flags)",
  cuGraphLaunch: "int cuGraphLaunch(uint64_t executable, uint64_t stream)",
  cuLaunchKernel:
    "int cuLaunchKernel(uint64_t function, uint32_t x, uint32_t y, uint32_t z, uint32_t threads, uint32_t threadsY, " +
    "uint32_t threadsZ, uint32_t shared, uint64_t stream, void *arguments, void *extra)",
} as const;

/** CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES */
const dynamicShared = 8;
/** CU_STREAM_CAPTURE_MODE_RELAXED, and CU_STREAM_NON_BLOCKING */
const relaxed = 2;
const nonBlocking = 1;

export interface Launch {
  readonly function: Handle;
  readonly groups: number;
  readonly threads: number;
  /** Bytes. */
  readonly shared?: number;
  readonly arguments: readonly Argument[];
}

/** One GPU by CUDA's driver. Everything that is allocated lives until `close`. @throws Error with the driver's words */
export class Cuda {
  private readonly call: Readonly<Record<string, (...given: unknown[]) => number>>;
  private readonly context: Handle;
  private readonly stream: Handle;
  readonly name: string;

  /** @throws Error where there is no such library, or no GPU. */
  constructor(path: string) {
    const library = koffi.load(path);
    this.call = Object.fromEntries(
      Object.entries(signatures).map(([name, signature]) => [name, library.func(signature)]),
    );
    this.do("cuInit", 0);
    const device = this.make<number>("cuDeviceGet", 0);
    const name = Buffer.alloc(100);
    this.do("cuDeviceGetName", name, name.length, device);
    this.name = name.toString("latin1").replace(/\0.*/s, "");
    this.context = this.make("cuDevicePrimaryCtxRetain", device);
    this.do("cuCtxSetCurrent", this.context);
    this.stream = this.make("cuStreamCreate", nonBlocking);
  }

  /** A kernel of a module in PTX; `shared` bytes of shared memory may be asked for at launch. */
  kernel(ptx: string, entry: string, shared = 0): Handle {
    const loaded = this.make("cuModuleLoadData", Buffer.from(`${ptx}\0`));
    const kernel = this.make("cuModuleGetFunction", loaded, entry);
    if (shared > 0) this.do("cuFuncSetAttribute", kernel, dynamicShared, shared);
    return kernel;
  }

  /** Memory of the device with these bytes in it. */
  put(bytes: Uint8Array): Handle {
    const address = this.make("cuMemAlloc", bytes.length);
    this.do("cuMemcpyHtoD", address, bytes, bytes.length);
    return address;
  }

  get(address: Handle, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    this.do("cuMemcpyDtoH", bytes, address, length);
    return bytes;
  }

  launch({ function: kernel, groups, threads, shared = 0, arguments: given }: Launch): void {
    // the driver reads the values while it is called, so that they may go afterwards
    const values = given.map((value) =>
      typeof value === "bigint" ? BigUint64Array.of(value) : Int32Array.of(value, 0),
    );
    const addresses = BigUint64Array.from(values, (value) => koffi.address(value));
    this.do("cuLaunchKernel", kernel, groups, 1, 1, threads, 1, 1, shared, this.stream, addresses, null);
  }

  wait(): void {
    this.do("cuStreamSynchronize", this.stream);
  }

  /** What `record` launches, as one graph; the result runs it once and waits. */
  graph(record: () => void): () => void {
    this.do("cuStreamBeginCapture", this.stream, relaxed);
    record();
    const graph = this.make("cuStreamEndCapture", this.stream);
    const executable = this.make("cuGraphInstantiate", graph, 0);
    return () => {
      this.do("cuGraphLaunch", executable, this.stream);
      this.wait();
    };
  }

  close(): void {
    this.do("cuDevicePrimaryCtxRelease", 0);
  }

  /** Functions whose one result is an output parameter, which stands first or, for a capture, last. */
  private make<T = Handle>(name: keyof typeof signatures, ...given: unknown[]): T {
    const made: [T | null] = [null];
    this.do(name, ...(name === "cuStreamEndCapture" ? [...given, made] : [made, ...given]));
    const [value] = made;
    return (typeof value === "number" && name !== "cuDeviceGet" ? BigInt(value) : value) as T;
  }

  private do(name: keyof typeof signatures, ...given: unknown[]): void {
    const status = this.call[name]!(...given);
    if (status === 0) return;
    const text: [string | null] = [null];
    this.call.cuGetErrorString!(status, text);
    throw new Error(`${name}: ${text[0] ?? `error ${status}`}`);
  }
}

/** The product that triton_product.py compiled. */
export interface ProductKernel {
  readonly ptx: string;
  readonly entry: string;
  readonly threads: number;
  readonly shared: number;
  readonly tile: readonly [rows: number, outputs: number, inputs: number];
}

export async function productKernel(): Promise<ProductKernel> {
  const read = (name: string): Promise<string> => readFile(new URL(name, import.meta.url), "utf8");
  return {
    ...(JSON.parse(await read("./product.json")) as Omit<ProductKernel, "ptx">),
    ptx: await read("./product.ptx"),
  };
}

/** x [threads] ← x + 1, in one workgroup: small, and each run depends on the one before. */
export const advancePtx = `.version 7.0
.target sm_70
.address_size 64
.visible .entry advance(.param .u64 x)
{
  .reg .b32 %thread;
  .reg .b64 %address;
  .reg .f32 %value;
  ld.param.u64 %address, [x];
  mov.u32 %thread, %tid.x;
  mad.wide.u32 %address, %thread, 4, %address;
  ld.global.f32 %value, [%address];
  add.rn.f32 %value, %value, 0f3F800000;
  st.global.f32 [%address], %value;
  ret;
}
`;
