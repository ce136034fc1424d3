// public: gpuEngine
// internal: GpuEngine
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type ErrorCode, TesseraError } from "@tessera/core";
import { Deferred, type DeferredSettings } from "@tessera/core/internal";
import { isStickBreaking } from "../../architectures/decoder.js";
import { type EncoderModel, longestInput } from "../../architectures/encoder.js";
import { checkDecoderBatch } from "../decoder-batch.js";
import {
  checkBatch,
  type DecoderBatch,
  type DecoderResult,
  type DecoderSession,
  type EncoderSession,
  type Engine,
  type Ragged,
} from "../engine.js";
import { launchWith } from "./launch.js";
import type { MarginPolicy, Measurement, Reply, Request, Requests } from "./protocol.js";

export type { MarginPolicy, Measurement } from "./protocol.js";

export interface GpuEngineSettings {
  /** Bytes of the GPU's memory that models and caches may take together; more is refused. Default: 4 GiB. */
  readonly memory?: number | undefined;
  /** "fp16" weights where the GPU has them (sums stay fp32); "fp32" everywhere. Default: fp16. */
  readonly precision?: "fp16" | "fp32" | undefined;
  /** false computes products in fp16 without the GPU's matrix units, as where its driver fails on them. Default: true. */
  readonly units?: boolean | undefined;
  /** The JSON file of a Vulkan driver to use instead of the machine's own, as for a driver in software. */
  readonly driver?: string | undefined;
}

/** An encoder on the GPU, which can also let each text leave when its vector has settled. */
export interface GpuEncoderSession extends EncoderSession {
  /** @throws TesseraError as `encode`; BAD_ARGUMENT where the layers are no rising exits. */
  encodeByMargin(
    batch: Ragged,
    policy: MarginPolicy,
    signal?: AbortSignal,
  ): Promise<{ vectors: Float32Array; exits: Uint8Array }>;
}

/** The GPU engine, which owns a process. */
export interface GpuEngine extends Engine {
  readonly software: boolean;
  readonly features: readonly string[];
  /** The id of the process that owns the GPU, while there is one. */
  readonly process: number | undefined;
  loadEncoder(model: EncoderModel): Promise<GpuEncoderSession>;
  /** Bytes in the GPU's buffers. */
  memory(): Promise<number>;
  /** Seconds of a bare measurement; see apps/bench/gpu. */
  measure(what: Measurement): Promise<number>;
  /** Ends the process; every call in flight fails with CLOSED. Resolves to the exit code. */
  close(): Promise<number | null>;
}

/**
 * Computes models on a GPU, with our own WGSL kernels through Dawn (Vulkan, Metal, D3D12), in a separate process. If
 * that process dies, the calls under way fail with MODEL_FAILED; the next call starts another process and loads the
 * models again.
 * @throws TesseraError DEPENDENCY_MISSING without the package `webgpu`, a driver or a GPU.
 */
export async function gpuEngine(settings: GpuEngineSettings = {}): Promise<GpuEngine> {
  const memory = settings.memory ?? 4 * 2 ** 30;
  if (!Number.isSafeInteger(memory) || memory < 1)
    throw new TesseraError("BAD_ARGUMENT", `${memory} is no number of bytes`, { hint: "use 1 or more" });
  const owner = new Owner(
    { memory, half: (settings.precision ?? "fp16") === "fp16", units: settings.units ?? true },
    settings.driver,
  );
  const { device, software, features, dtype } = await owner.ready();
  let sessions = 0;
  return {
    info: { kind: "gpu", device, dtype },
    software,
    features,
    get process() {
      return owner.process;
    },
    async loadEncoder(model) {
      assertComputed(model);
      const session = sessions++;
      await owner.load(session, "encoder", { session, model });
      return new GpuEncoder(owner, session, model);
    },
    async loadDecoder(model, cache) {
      if (!isStickBreaking(model))
        throw new TesseraError("MISSING_CAPABILITY", `the GPU engine does not compute ${model.architecture} yet`, {
          path: model.name,
          hint: "use the CPU engine: --engine cpu",
        });
      const session = sessions++;
      await owner.load(session, "decoder", { session, model, cache });
      return new GpuDecoder(owner, session, (batch) => checkDecoderBatch(batch, model, cache), cache);
    },
    memory: () => owner.ask("memory", {}),
    measure: (what) => owner.ask("measure", { what }),
    close: () => owner.close(),
  };
}

/** What the kernels of encoders have no part for yet. */
function assertComputed(model: EncoderModel): void {
  const turns = new Set(model.blocks.map(({ ropeTheta }) => ropeTheta));
  const computed =
    model.normPlace === "before" &&
    model.pooling !== "first" &&
    !model.causal &&
    !model.bag &&
    !model.positions &&
    !model.embeddingNorm &&
    (model.headSize ?? model.hidden / model.heads) === model.hidden / model.heads &&
    turns.size === 1 &&
    !turns.has(undefined) &&
    model.blocks.every(
      (block) =>
        block.attentionNorm &&
        !block.queryNorm &&
        !block.keyNorm &&
        block.reach === undefined &&
        block.activation === (block.gate ? "silu" : "gelu-tanh"),
    ) &&
    model.exits.every(({ projection }) => projection);
  if (!computed)
    throw new TesseraError("MISSING_CAPABILITY", `the GPU engine does not compute ${model.architecture} yet`, {
      path: model.name,
      hint: "use the CPU engine",
    });
}

type Ask<K extends keyof Requests> = Requests[K]["ask"];
type Answer<K extends keyof Requests> = Requests[K]["answer"];
interface Call {
  resolve(answer: unknown): void;
  reject(error: TesseraError): void;
}

/** Starts the process, asks it, and starts it again. */
class Owner {
  private child: ChildProcess | undefined;
  private opening: Promise<Answer<"open">> | undefined;
  private readonly calls = new Map<number, Call>();
  private readonly models = new Map<number, { kind: "encoder" | "decoder"; ask: Ask<"encoder" | "decoder"> }>();
  private numbers = 0;
  private closed = false;
  /** How often the process was started. */
  starts = 0;

  constructor(
    private readonly settings: Ask<"open">,
    private readonly driver: string | undefined,
  ) {}

  get process(): number | undefined {
    return this.child?.pid;
  }

  /** A process with every model loaded. */
  ready(): Promise<Answer<"open">> {
    if (this.closed) return Promise.reject(new TesseraError("CLOSED", "the GPU engine is closed"));
    this.opening ??= this.open().catch(async (error: unknown) => {
      this.opening = undefined;
      await this.kill();
      throw error;
    });
    return this.opening;
  }

  async load(session: number, kind: "encoder" | "decoder", ask: Ask<"encoder" | "decoder">): Promise<void> {
    await this.ask(kind, ask as Ask<typeof kind>);
    this.models.set(session, { kind, ask });
  }

  async unload(session: number): Promise<void> {
    this.models.delete(session);
    if (this.child && !this.closed) await this.ask("release", { session });
  }

  async ask<K extends keyof Requests>(kind: K, ask: Ask<K>, signal?: AbortSignal): Promise<Answer<K>> {
    const aborted = (cause: unknown): TesseraError => new TesseraError("ABORTED", "the call was aborted", { cause });
    if (signal?.aborted) throw aborted(signal.reason);
    await this.ready();
    if (signal?.aborted) throw aborted(signal.reason);
    return this.send(kind, ask, { signal, aborted });
  }

  async close(): Promise<number | null> {
    this.closed = true;
    const { child } = this;
    for (const call of this.calls.values()) call.reject(new TesseraError("CLOSED", "the GPU engine is closed"));
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? 0;
    child.ref();
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    child.disconnect();
    return ended;
  }

  /** Ends a process that did not open; resolves when it is gone. */
  private async kill(): Promise<void> {
    const { child } = this;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.ref();
    child.kill("SIGKILL");
    await ended;
  }

  private async open(): Promise<Answer<"open">> {
    this.starts += 1;
    // a process and no `Thread`: a driver that fails ends its process, and one process serves many models at once
    const child = fork(fileURLToPath(new URL("./process.js", import.meta.url)), {
      serialization: "advanced",
      ...launchWith(this.driver),
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.child = child;
    let said = "";
    child.stderr!.on("data", (text: Buffer) => {
      said = `${said}${text}`.slice(-2000);
    });
    child.on("message", (reply: Reply) => this.receive(reply));
    child.on("exit", (code, signal) => this.lose(child, `${signal ?? `code ${code}`}${said && `: ${said.trim()}`}`));
    child.on("error", (error) => this.lose(child, error.message));
    const info = await this.send("open", this.settings);
    for (const { kind, ask } of this.models.values()) await this.send(kind, ask as Ask<typeof kind>);
    return info;
  }

  private send<K extends keyof Requests>(
    kind: K,
    ask: Ask<K>,
    abort: Omit<DeferredSettings, "ended"> = {},
  ): Promise<Answer<K>> {
    const child = this.child;
    if (child === undefined || !child.connected)
      return Promise.reject(new TesseraError("MODEL_FAILED", "the GPU's process has ended", { hint: "ask again" }));
    const number = this.numbers++;
    this.hold(true);
    const call = new Deferred<Answer<K>>({
      ...abort,
      ended: () => {
        this.calls.delete(number);
        this.hold(this.calls.size > 0);
      },
    });
    this.calls.set(number, call);
    child.send({ ...ask, number, kind } as Request);
    return call.promise;
  }

  /** A process without work does not keep its owner alive. */
  private hold(busy: boolean): void {
    const channel = this.child?.channel;
    const stderr = this.child?.stderr as { ref?(): void; unref?(): void } | null | undefined;
    for (const handle of [this.child, channel, stderr]) {
      if (busy) handle?.ref?.();
      else handle?.unref?.();
    }
  }

  private receive(reply: Reply): void {
    const call = this.calls.get(reply.number);
    if (call === undefined) return;
    if ("answer" in reply) call.resolve(reply.answer);
    else call.reject(new TesseraError(reply.error.code as ErrorCode, reply.error.message, { hint: reply.error.hint }));
  }

  private lose(child: ChildProcess, how: string): void {
    if (this.child !== child) return;
    this.child = undefined;
    this.opening = undefined;
    for (const call of this.calls.values())
      call.reject(new TesseraError("MODEL_FAILED", `the GPU's process ended (${how})`, { hint: "ask again" }));
  }
}

class GpuEncoder implements GpuEncoderSession {
  readonly exits: readonly number[];
  readonly hidden: number;
  private closed = false;

  constructor(
    private readonly owner: Owner,
    private readonly session: number,
    private readonly model: EncoderModel,
  ) {
    this.exits = model.exits.map(({ layer }) => layer);
    this.hidden = model.hidden;
  }

  async encode(batch: Ragged, exit: number, signal?: AbortSignal): Promise<Float32Array> {
    this.check(batch, exit);
    return this.owner.ask("encode", { session: this.session, batch, exit }, signal);
  }

  async encodeByMargin(
    batch: Ragged,
    policy: MarginPolicy,
    signal?: AbortSignal,
  ): Promise<{ vectors: Float32Array; exits: Uint8Array }> {
    if (policy.layers.length === 0 || policy.layers.some((layer, i) => i > 0 && layer <= policy.layers[i - 1]!))
      throw new TesseraError("BAD_ARGUMENT", `${policy.layers} are no rising layers`, { path: this.model.name });
    if (!(policy.margin >= 0 && policy.margin <= 2))
      throw new TesseraError("BAD_ARGUMENT", `${policy.margin} is no margin`, {
        path: this.model.name,
        hint: "0 to 2",
      });
    for (const layer of policy.layers) this.check(batch, layer);
    return this.owner.ask("margin", { session: this.session, batch, policy }, signal);
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.owner.unload(this.session);
  }

  private check(batch: Ragged, exit: number): void {
    checkBatch(batch, exit, this.model, longestInput(this.model));
    if (this.closed) throw new TesseraError("CLOSED", "the encoder is closed", { path: this.model.name });
  }
}

class GpuDecoder implements DecoderSession {
  readonly blocks: number;
  readonly blockTokens: number;
  private closed = false;
  private steps: Promise<unknown> = Promise.resolve();
  /** The process that holds the cache, and the blocks written in it. */
  private start: number;
  private readonly written = new Set<number>();

  constructor(
    private readonly owner: Owner,
    private readonly session: number,
    private readonly check: (batch: DecoderBatch) => void,
    { blocks, blockTokens }: { blocks: number; blockTokens: number },
  ) {
    this.blocks = blocks;
    this.blockTokens = blockTokens;
    this.start = owner.starts;
  }

  async step(batch: DecoderBatch, signal?: AbortSignal): Promise<DecoderResult> {
    if (this.closed) throw new TesseraError("CLOSED", "the decoder is closed");
    this.check(batch);
    const step = this.steps.then(() => this.run(batch, signal));
    this.steps = step.catch(() => {});
    return step;
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.owner.unload(this.session);
  }

  private async run(batch: DecoderBatch, signal: AbortSignal | undefined): Promise<DecoderResult> {
    await this.owner.ready();
    if (this.start !== this.owner.starts) {
      this.start = this.owner.starts;
      this.written.clear();
    }
    for (const [i, blocks] of batch.blocks.entries())
      for (const [place, block] of blocks.entries()) {
        if (place * this.blockTokens < batch.cached[i]! && !this.written.has(block))
          throw new TesseraError("MODEL_FAILED", `the cache of sequence ${i} was lost with the GPU's process`, {
            hint: "begin the sequence again",
          });
        const end = batch.cached[i]! + batch.offsets[i + 1]! - batch.offsets[i]!;
        if (place * this.blockTokens < end) this.written.add(block);
      }
    return this.owner.ask("step", { session: this.session, batch }, signal);
  }
}
