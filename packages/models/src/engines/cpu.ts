import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { TesseraError } from "@tessera/core";
import { type EncoderModel, longestInput } from "../encoder-model.js";
import { checkBatch, type EncoderSession, type Engine, type Ragged } from "../engine.js";
import { CpuGenerator } from "./cpu-generator/session.js";
import type { Precision } from "./encoder-graph.js";
import { gateCells, type Job, type Reply, type WorkerSettings } from "./protocol.js";

export interface CpuEngineSettings {
  /** Threads at most, each with its own copy of the compiled model; they start when there is work. Default: one a core. */
  readonly workers?: number | undefined;
  /** "int8" multiplies the stored weights with activations quantised row by row; "fp32" is for comparison. */
  readonly precision?: Exclude<Precision, "fp16"> | undefined;
}

/**
 * Encoders: onnxruntime-node in worker threads, one ONNX thread each. Texts of equal length run together, whoever asked for them,
 * so there is no padding; the callers with the fewest tokens served go first, so a query does not wait for an index.
 * Generators: kernels of our own in WebAssembly, the sequences of a step dealt to the threads.
 */
export function cpuEngine(settings: CpuEngineSettings = {}): Engine {
  const precision = settings.precision ?? "int8";
  const workers = settings.workers ?? availableParallelism();
  if (!Number.isSafeInteger(workers) || workers < 1)
    throw new TesseraError("BAD_ARGUMENT", `${workers} is no number of workers`, { hint: "use 1 or more" });
  return {
    info: { kind: "cpu", device: `${process.arch}, up to ${workers} threads`, dtype: precision },
    async loadEncoder(model) {
      const session = new CpuEncoder(model, workers, (gate) => startWorker({ model, precision, gate }));
      await session.ready();
      return session;
    },
    async loadGenerator(model, cache) {
      const session = new CpuGenerator(model, cache, precision, workers);
      await session.ready();
      return session;
    },
  };
}

const startWorker = (workerData: WorkerSettings): Worker =>
  new Worker(new URL("./cpu-worker.js", import.meta.url), { workerData, name: "tessera-encoder" });

/** The gates of all workers of this process. */
const gates = new Set<Int32Array<SharedArrayBuffer>>();
let guarded = false;

/** A process that ends while a worker is inside the runtime would abort; this makes it wait for the end of that run. */
function guard(gate: Int32Array<SharedArrayBuffer>): void {
  gates.add(gate);
  if (guarded) return;
  guarded = true;
  process.on("exit", () => {
    for (const gate of gates) Atomics.store(gate, gateCells.stop, 1);
    for (const gate of gates) Atomics.wait(gate, gateCells.busy, 1, 5000);
  });
}

/** Tokens of one run: enough to keep the matrix kernels busy, little enough that nobody waits long. */
const tokensPerRun = 256;

/** One call of `encode` that is not finished. */
interface Call {
  readonly exit: number;
  readonly batch: Ragged;
  /** The indices of texts that no worker has yet, by length. */
  readonly waiting: Map<number, number[]>;
  readonly vectors: Float32Array;
  left: number;
  /** Tokens given to workers, counted from the level of the calls that were there before it. */
  served: number;
  resolve(vectors: Float32Array): void;
  reject(error: unknown): void;
}

interface Slot {
  readonly worker: Worker;
  readonly gate: Int32Array<SharedArrayBuffer>;
  ready: boolean;
  /** The texts that it is working on. */
  running: { call: Call; text: number }[];
}

/** A pool of workers over one model. */
export class CpuEncoder implements EncoderSession {
  readonly exits: readonly number[];
  readonly hidden: number;
  private readonly longest: number;
  private readonly slots = new Set<Slot>();
  private readonly calls = new Set<Call>();
  private closed = false;
  private started: { resolve(): void; reject(error: unknown): void } | undefined;

  constructor(
    private readonly model: EncoderModel,
    private workers: number,
    private readonly start: (gate: Int32Array<SharedArrayBuffer>) => Worker,
  ) {
    this.exits = model.exits.map(({ layer }) => layer);
    this.hidden = model.hidden;
    this.longest = longestInput(model);
  }

  /** Starts the first worker; rejects with DEPENDENCY_MISSING where the runtime cannot be loaded. */
  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.started = { resolve, reject };
      this.open();
    });
  }

  async encode(batch: Ragged, exit: number, signal?: AbortSignal): Promise<Float32Array> {
    checkBatch(batch, exit, this.model, this.longest);
    if (this.closed) throw this.closedError();
    if (signal?.aborted) throw this.aborted(signal);
    const texts = batch.offsets.length - 1;
    const vectors = new Float32Array(texts * this.hidden);
    if (texts === 0) return vectors;
    const waiting = new Map<number, number[]>();
    for (let text = texts - 1; text >= 0; text--) {
      const length = batch.offsets[text + 1]! - batch.offsets[text]!;
      const same = waiting.get(length);
      if (same) same.push(text);
      else waiting.set(length, [text]);
    }
    // long texts first: the last runs are then short, and the workers end together
    const sorted = new Map([...waiting].sort(([a], [b]) => b - a));
    return new Promise((resolve, reject) => {
      const settle = (end: () => void): void => {
        signal?.removeEventListener("abort", abort);
        this.calls.delete(call);
        end();
      };
      const served = this.calls.size === 0 ? 0 : Math.min(...[...this.calls].map((other) => other.served));
      const call: Call = {
        exit,
        batch,
        waiting: sorted,
        vectors,
        left: texts,
        served,
        resolve: (value) => settle(() => resolve(value)),
        reject: (error) => settle(() => reject(error)),
      };
      const abort = (): void => call.reject(this.aborted(signal!));
      signal?.addEventListener("abort", abort, { once: true });
      this.calls.add(call);
      this.work();
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const call of [...this.calls]) call.reject(this.closedError());
    const slots = [...this.slots];
    this.slots.clear();
    await Promise.all(
      slots.map(async ({ worker, gate }) => {
        Atomics.store(gate, gateCells.stop, 1);
        while (Atomics.load(gate, gateCells.busy) === 1) await sleep(1);
        await worker.terminate();
      }),
    );
  }

  /** Gives work to every worker that has none, and starts another while texts wait. */
  private work(): void {
    for (const slot of this.slots) if (slot.ready && slot.running.length === 0) this.give(slot);
    const starting = [...this.slots].filter(({ ready }) => !ready).length;
    const waits = [...this.calls].some(({ waiting }) => waiting.size > 0);
    if (waits && starting === 0 && this.slots.size < this.workers && !this.closed) this.open();
  }

  private open(): void {
    const gate = new Int32Array(new SharedArrayBuffer(8));
    guard(gate);
    const slot: Slot = { worker: this.start(gate), gate, ready: false, running: [] };
    this.slots.add(slot);
    slot.worker.on("exit", () => gates.delete(gate));
    slot.worker.on("message", (reply: Reply) => this.receive(slot, reply));
    slot.worker.on("error", (cause) => this.lose(slot, "MODEL_FAILED", "an encoder thread failed", cause));
    slot.worker.on("exit", (code) => this.lose(slot, "MODEL_FAILED", `an encoder thread ended with code ${code}`));
  }

  private receive(slot: Slot, reply: Reply): void {
    if (!this.slots.has(slot)) return;
    if (reply.kind === "missing") {
      this.lose(slot, "DEPENDENCY_MISSING", `onnxruntime-node cannot be loaded: ${reply.message}`);
      return;
    }
    if (reply.kind === "ready") {
      slot.ready = true;
      slot.worker.unref();
      this.started?.resolve();
      this.started = undefined;
    } else this.finish(slot, reply);
    this.work();
  }

  private finish(slot: Slot, reply: Extract<Reply, { kind: "vectors" | "failed" }>): void {
    const { running } = slot;
    slot.running = [];
    slot.worker.unref();
    if (reply.kind === "failed") {
      const error = new TesseraError("MODEL_FAILED", reply.message, { path: this.model.name });
      for (const { call } of running) call.reject(error);
      return;
    }
    for (const [i, { call, text }] of running.entries()) {
      call.vectors.set(reply.vectors.subarray(i * this.hidden, (i + 1) * this.hidden), text * this.hidden);
      call.left -= 1;
      if (call.left === 0) call.resolve(call.vectors);
    }
  }

  /** A worker is gone: whoever waited for it is told, and the next work starts another. */
  private lose(slot: Slot, code: "MODEL_FAILED" | "DEPENDENCY_MISSING", message: string, cause?: unknown): void {
    if (!this.slots.delete(slot)) return;
    const error = new TesseraError(code, message, {
      path: this.model.name,
      cause,
      hint: code === "DEPENDENCY_MISSING" ? "install onnxruntime-node 1.30.0, or use another engine" : "ask again",
    });
    this.started?.reject(error);
    this.started = undefined;
    // where another cannot start, those that run are as many as there can be
    if (!slot.ready) this.workers = Math.max(1, this.slots.size);
    const lost = this.slots.size === 0 && !slot.ready ? [...this.calls] : slot.running.map(({ call }) => call);
    for (const call of lost) call.reject(error);
    this.work();
  }

  /** The next texts of equal length: those of the call that was served least, then others that fit beside them. */
  private give(slot: Slot): void {
    let first: Call | undefined;
    for (const call of this.calls)
      if (call.waiting.size > 0 && (first === undefined || call.served < first.served)) first = call;
    if (first === undefined) return;
    const { exit } = first;
    const length = first.waiting.keys().next().value!;
    const most = Math.max(1, Math.floor(tokensPerRun / length));
    const running: Slot["running"] = [];
    for (const call of [first, ...this.calls]) {
      const texts = call.exit === exit ? call.waiting.get(length) : undefined;
      while (texts && texts.length > 0 && running.length < most) {
        running.push({ call, text: texts.pop()! });
        call.served += length;
      }
      if (texts?.length === 0) call.waiting.delete(length);
      if (running.length === most) break;
    }
    const ids = new Int32Array(running.length * length);
    for (const [i, { call, text }] of running.entries()) {
      const from = call.batch.offsets[text]!;
      ids.set(call.batch.ids.subarray(from, from + length), i * length);
    }
    slot.running = running;
    slot.worker.ref();
    const job: Job = { ids, texts: running.length, length, exit };
    slot.worker.postMessage(job, [ids.buffer]);
  }

  private closedError(): TesseraError {
    return new TesseraError("CLOSED", "the encoder is closed", { path: this.model.name });
  }

  private aborted(signal: AbortSignal): TesseraError {
    return new TesseraError("ABORTED", "the encoding was aborted", { path: this.model.name, cause: signal.reason });
  }
}
