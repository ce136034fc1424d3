import { TesseraError } from "@tessera/core";
import { messageOf, missing } from "@tessera/core/internal";
import type {} from "webgpu";
import type { Kernel } from "./kernels/kernel.js";
import { fits, type MatrixUnits, unitsWorkgroupBytes } from "./kernels/matmul-units.js";
import type { DeviceInfo } from "./protocol.js";

// off by default for NVIDIA: half precision there, and the memory model that matrix units need
const toggles = ["allow_unsafe_apis", "vulkan_enable_f16_on_nvidia", "use_vulkan_memory_model"];
const matrixFeatures = ["shader-f16", "subgroups", "chromium-experimental-subgroup-matrix"];
const wanted = [...matrixFeatures, "timestamp-query"];

type Bytes = Float32Array | Uint32Array | Int32Array | Uint16Array;

/** One step of a command list: a kernel over `groups` workgroups, or as many as lie at `at` in `dispatch`. */
export type Groups = readonly [x: number, y?: number] | { readonly dispatch: GPUBuffer; readonly at: number };

/** A device with its compiled kernels, and buffers within a budget. */
export class Device {
  private readonly pipelines = new Map<string, GPUComputePipeline>();
  private readonly bindings = new Map<string, GPUBindGroup>();
  private readonly numbers = new WeakMap<GPUBuffer, number>();
  private buffers = 0;
  private failure: TesseraError | undefined;
  /** Bytes in buffers. */
  used = 0;

  constructor(
    private readonly device: GPUDevice,
    readonly info: DeviceInfo,
    private readonly budget: number,
  ) {
    device.addEventListener("uncapturederror", (event) => {
      const { error } = event as GPUUncapturedErrorEvent;
      this.failure ??= error instanceof GPUOutOfMemoryError ? outOfMemory(error.message) : refused(error.message);
    });
  }

  get lost(): Promise<GPUDeviceLostInfo> {
    return this.device.lost;
  }

  /** @throws TesseraError OVERLOADED beyond the budget, before anything is allocated. */
  admit(bytes: number, what: string): void {
    if (this.used + bytes <= this.budget) return;
    throw new TesseraError(
      "OVERLOADED",
      `${what} needs ${mega(bytes)} of the GPU's memory; ${mega(this.budget - this.used)} of ${mega(this.budget)} are free`,
      { hint: "raise the engine's memory, make the cache smaller, or close another model" },
    );
  }

  /** @throws TesseraError OVERLOADED where a kernel could not be given one buffer as large. */
  admitBuffer(bytes: number, what: string): void {
    const most = Math.min(this.device.limits.maxBufferSize, this.device.limits.maxStorageBufferBindingSize);
    if (bytes <= most) return;
    throw new TesseraError(
      "OVERLOADED",
      `${what} needs one buffer of ${mega(bytes)}; the GPU has ${mega(most)} at most`,
      {
        hint: "make the cache smaller",
      },
    );
  }

  /** A buffer that kernels read and write. */
  buffer(bytes: number, what: string, indirect = false): GPUBuffer {
    const size = Math.max(16, Math.ceil(bytes / 4) * 4);
    this.admitBuffer(size, what);
    this.admit(size, what);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const buffer = this.device.createBuffer({
      label: what,
      size,
      usage: indirect ? usage | GPUBufferUsage.INDIRECT : usage,
    });
    this.used += size;
    this.numbers.set(buffer, this.buffers++);
    return buffer;
  }

  from(values: Bytes, what: string, indirect = false): GPUBuffer {
    const buffer = this.buffer(values.byteLength, what, indirect);
    this.write(buffer, values);
    return buffer;
  }

  write(buffer: GPUBuffer, values: Bytes): void {
    if (values.byteLength === 0) return;
    // whole words are written: an odd number of halves gets one more
    const whole = values.byteLength % 4 === 0 ? values : Uint16Array.of(...(values as Uint16Array), 0);
    this.device.queue.writeBuffer(buffer, 0, whole as Float32Array<ArrayBuffer>);
  }

  release(buffers: Iterable<GPUBuffer>): void {
    const gone = new Set<number>();
    for (const buffer of buffers) {
      this.used -= buffer.size;
      gone.add(this.numbers.get(buffer)!);
      buffer.destroy();
    }
    for (const key of this.bindings.keys())
      if (
        key
          .split(" ")
          .slice(1)
          .some((number) => gone.has(Number(number)))
      )
        this.bindings.delete(key);
  }

  commands(): Commands {
    return new Commands(this, this.device.createCommandEncoder());
  }

  pipeline(kernel: Kernel): GPUComputePipeline {
    let pipeline = this.pipelines.get(kernel.name);
    if (pipeline === undefined) {
      const module = this.device.createShaderModule({ label: kernel.name, code: kernel.wgsl });
      pipeline = this.device.createComputePipeline({ label: kernel.name, layout: "auto", compute: { module } });
      this.pipelines.set(kernel.name, pipeline);
    }
    return pipeline;
  }

  bind(kernel: Kernel, buffers: readonly GPUBuffer[]): GPUBindGroup {
    const key = `${kernel.name} ${buffers.map((buffer) => this.numbers.get(buffer)).join(" ")}`;
    let group = this.bindings.get(key);
    if (group === undefined) {
      const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
      group = this.device.createBindGroup({ layout: this.pipeline(kernel).getBindGroupLayout(0), entries });
      this.bindings.set(key, group);
    }
    return group;
  }

  /** Submits, and reads the buffers back in one wait. @throws TesseraError MODEL_FAILED */
  async submit(
    encoder: GPUCommandEncoder,
    wanted: readonly { buffer: GPUBuffer; bytes: number }[],
  ): Promise<ArrayBuffer[]> {
    const total = wanted.reduce((sum, { bytes }) => sum + wholeWords(bytes), 0);
    this.admit(total, "what is read back");
    this.used += total;
    const staging = this.device.createBuffer({ size: total, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
    try {
      let at = 0;
      for (const { buffer, bytes } of wanted) {
        encoder.copyBufferToBuffer(buffer, 0, staging, at, wholeWords(bytes));
        at += wholeWords(bytes);
      }
      this.device.queue.submit([encoder.finish()]);
      await staging.mapAsync(GPUMapMode.READ);
      const copy = staging.getMappedRange().slice(0);
      at = 0;
      return wanted.map(({ bytes }) => {
        const part = copy.slice(at, at + bytes);
        at += wholeWords(bytes);
        return part;
      });
    } catch (cause) {
      throw this.failure ?? new TesseraError("MODEL_FAILED", `the GPU failed: ${messageOf(cause)}`, { cause });
    } finally {
      staging.destroy();
      this.used -= total;
      this.check();
    }
  }

  /** @throws TesseraError MODEL_FAILED where the driver refused anything before, OVERLOADED where it had no memory. */
  check(): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
  }

  destroy(): void {
    this.device.destroy();
  }
}

const wholeWords = (bytes: number): number => Math.max(4, Math.ceil(bytes / 4) * 4);
const mega = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;
const refused = (message: string): TesseraError =>
  new TesseraError("MODEL_FAILED", `the GPU refused a command: ${message}`);
const outOfMemory = (message: string): TesseraError =>
  new TesseraError("OVERLOADED", `the GPU has no more memory: ${message}`, {
    hint: "lower the engine's memory to what is free, or close another program",
  });

/** A command list: kernels run one after another, each sees what those before it wrote. */
export class Commands {
  private pass: GPUComputePassEncoder | undefined;

  constructor(
    private readonly owner: Device,
    private readonly encoder: GPUCommandEncoder,
  ) {}

  run(kernel: Kernel, buffers: readonly GPUBuffer[], groups: Groups): this {
    this.pass ??= this.encoder.beginComputePass();
    this.pass.setPipeline(this.owner.pipeline(kernel));
    this.pass.setBindGroup(0, this.owner.bind(kernel, buffers));
    if ("dispatch" in groups) this.pass.dispatchWorkgroupsIndirect(groups.dispatch, groups.at);
    else if (groups[0] > 0) this.pass.dispatchWorkgroups(groups[0], groups[1] ?? 1);
    return this;
  }

  clear(buffer: GPUBuffer): this {
    this.end();
    this.encoder.clearBuffer(buffer);
    return this;
  }

  read(...wanted: { buffer: GPUBuffer; bytes: number }[]): Promise<ArrayBuffer[]> {
    this.end();
    return this.owner.submit(this.encoder, wanted);
  }

  private end(): void {
    this.pass?.end();
    this.pass = undefined;
  }
}

/**
 * Opens this machine's GPU by the `webgpu` package (Dawn). Only for a process that ends by process.exit: Dawn aborts
 * where its instance is collected, and keeps a process alive where it is not.
 * @throws TesseraError DEPENDENCY_MISSING without the package, without a driver, or without an adapter.
 */
export async function openDevice(budget: number, useUnits = true): Promise<Device> {
  const webgpu = await import("webgpu").catch(missing("webgpu"));
  Object.assign(globalThis, webgpu.globals);
  const gpu = webgpu.create([`enable-dawn-features=${toggles.join(",")}`]);
  // a module-local reference is not enough: the process aborts when the instance is collected
  Object.assign(globalThis, { tesseraGpu: gpu });
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter)
    throw new TesseraError("DEPENDENCY_MISSING", "no GPU was found", {
      hint: "install a Vulkan driver, or use the CPU engine",
    });
  const features = wanted.filter((feature) => adapter.features.has(feature as GPUFeatureName));
  const { limits, info } = adapter;
  const device = await adapter.requestDevice({
    requiredFeatures: features as unknown as GPUFeatureName[],
    requiredLimits: {
      maxBufferSize: limits.maxBufferSize,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxStorageBuffersPerShaderStage: Math.min(limits.maxStorageBuffersPerShaderStage, 10),
      maxComputeWorkgroupStorageSize: Math.min(limits.maxComputeWorkgroupStorageSize, unitsWorkgroupBytes),
    },
  });
  const name = info.device || info.description || info.architecture || info.vendor;
  const software =
    info.isFallbackAdapter ||
    /swiftshader|llvmpipe|lavapipe|\bcpu\b/i.test(`${info.architecture} ${name} ${info.description}`);
  return new Device(
    device,
    { device: name, software, features, units: useUnits ? unitsOf(adapter, features) : undefined },
    budget,
  );
}

/** The largest fragment that kernels can use, where every subgroup of the device has the same number of threads. */
function unitsOf({ info, limits }: GPUAdapter, features: readonly string[]): MatrixUnits | undefined {
  if (!matrixFeatures.every((feature) => features.includes(feature))) return undefined;
  const { subgroupMinSize, subgroupMaxSize = 0, subgroupMatrixConfigs = [] } = info as MatrixAdapterInfo;
  if (subgroupMinSize !== subgroupMaxSize || limits.maxComputeWorkgroupStorageSize < unitsWorkgroupBytes)
    return undefined;
  return subgroupMatrixConfigs
    .filter(({ componentType, resultComponentType }) => componentType === "f16" && resultComponentType === "f32")
    .map(({ M: m, N: n, K: k }) => ({ m, n, k, subgroup: subgroupMaxSize }))
    .filter(fits)
    .reduce<MatrixUnits | undefined>(
      (best, units) => (best && best.m * best.n * best.k >= units.m * units.n * units.k ? best : units),
      undefined,
    );
}

/** What Dawn says beyond the standard. */
interface MatrixAdapterInfo extends GPUAdapterInfo {
  readonly subgroupMatrixConfigs?: readonly {
    readonly M: number;
    readonly N: number;
    readonly K: number;
    readonly componentType: string;
    readonly resultComponentType: string;
  }[];
}
