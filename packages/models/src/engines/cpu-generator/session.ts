// internal
import { Worker } from "node:worker_threads";
import { messageOf, TesseraError } from "@tessera/core";
import {
  type CacheSize,
  type GeneratorBatch,
  type GeneratorResult,
  type GeneratorSession,
  type ModuleCounts,
  ragged,
} from "../../engine.js";
import type { GeneratorModel } from "../../generator-model.js";
import { checkGeneratorBatch } from "../generator-batch.js";
import { type PackedModel, type Precision, plan } from "./packed.js";
import type { Job, Reply, ThreadSettings } from "./protocol.js";
import { mostBytes, type SharedMemory, sharedMemory } from "./wasm.js";

type Start = (settings: ThreadSettings) => Worker;

const startWorker: Start = (workerData) =>
  new Worker(new URL("./worker.js", import.meta.url), { workerData, name: "tessera-generator" });

/** One thread; it computes one part at a time. */
interface Slot {
  readonly worker: Worker;
  readonly ready: Promise<void>;
  settle(reply: Reply | TesseraError): void;
}

/**
 * A generator in worker threads over one shared memory of weights and cache. A step's sequences are dealt to as many
 * threads as there are; a thread that dies fails its step, and the next step starts another.
 */
export class CpuGenerator implements GeneratorSession {
  readonly blocks: number;
  readonly blockTokens: number;
  private readonly packed: PackedModel;
  private readonly memory: SharedMemory;
  private readonly stop = new Int32Array(new SharedArrayBuffer(4));
  private readonly slots: (Slot | undefined)[];
  private written = false;
  private closed = false;
  private last: Promise<unknown> = Promise.resolve();

  /** @throws TesseraError BAD_ARGUMENT for a cache of no size, or that does not fit; MISSING_CAPABILITY */
  constructor(
    private readonly model: GeneratorModel,
    private readonly cache: CacheSize,
    private readonly precision: Precision,
    threads: number,
    private readonly start: Start = startWorker,
  ) {
    this.blocks = cache.blocks;
    this.blockTokens = cache.blockTokens;
    if (!Number.isSafeInteger(cache.blocks) || cache.blocks < 1 || !(cache.blockTokens >= 1))
      throw this.error("BAD_ARGUMENT", `${cache.blocks} blocks of ${cache.blockTokens} tokens are no cache`);
    const size = model.layers[0]!.attention.query[0]!.rows;
    if ((size / model.heads) % 4 !== 0)
      throw this.error("MISSING_CAPABILITY", `a head of ${size / model.heads} components is no multiple of 4`);
    this.packed = plan(model, cache, precision, threads).packed;
    this.slots = new Array<Slot | undefined>(threads).fill(undefined);
    const tooLarge = (cause?: unknown): TesseraError =>
      this.error("BAD_ARGUMENT", `weights and cache need ${Math.ceil(this.packed.bytes / 2 ** 20)} MiB`, {
        cause,
        hint: "the CPU engine has 4 GiB at most; give the cache fewer blocks",
      });
    if (this.packed.bytes > mostBytes) throw tooLarge();
    try {
      this.memory = sharedMemory(this.packed.bytes);
    } catch (cause) {
      throw tooLarge(cause);
    }
  }

  /** Resolves when the first thread has packed the weights. @throws TesseraError MODEL_FAILED */
  async ready(): Promise<void> {
    await this.slot(0).ready;
  }

  step(batch: GeneratorBatch, signal?: AbortSignal): Promise<GeneratorResult> {
    const result = this.last.then(() => this.run(batch, signal));
    this.last = result.catch(() => {});
    return result;
  }

  async close(): Promise<void> {
    this.closed = true;
    const slots = this.slots.splice(0).filter((slot) => slot !== undefined);
    for (const slot of slots) slot.settle(this.error("CLOSED", "the generator is closed"));
    await Promise.all(slots.map(({ worker }) => worker.terminate()));
  }

  private async run(batch: GeneratorBatch, signal?: AbortSignal): Promise<GeneratorResult> {
    if (this.closed) throw this.error("CLOSED", "the generator is closed");
    const aborted = (): TesseraError => this.error("ABORTED", "the step was aborted", { cause: signal?.reason });
    if (signal?.aborted) throw aborted();
    checkGeneratorBatch(batch, this.model, this.cache);
    Atomics.store(this.stop, 0, 0);
    const stop = (): void => void Atomics.store(this.stop, 0, 1);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      const parts = deal(batch, this.slots.length);
      // the thread that packs comes first
      if (!this.written) await this.slot(0).ready;
      // all have ended before any error is told: a part that still ran would write into the cache of the next step
      const ended = await Promise.allSettled(parts.map((part, i) => this.ask(i, pick(batch, part))));
      const replies = ended.map((end) => {
        if (end.status === "rejected") throw end.reason;
        return end.value;
      });
      if (replies.some(({ kind }) => kind === "stopped")) throw aborted();
      return gather(
        batch,
        parts,
        replies.map((reply) => {
          if (reply.kind === "result") return reply.result;
          throw this.error("MODEL_FAILED", reply.kind === "failed" ? reply.message : "the thread gave no result");
        }),
      );
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  private async ask(thread: number, job: Job): Promise<Reply> {
    const slot = this.slot(thread);
    await slot.ready;
    return new Promise((resolve, reject) => {
      slot.settle = (reply) => {
        slot.settle = () => {};
        slot.worker.unref();
        if (TesseraError.is(reply)) reject(reply);
        else resolve(reply);
      };
      slot.worker.ref();
      slot.worker.postMessage(job);
    });
  }

  /** The thread of this number, started where there is none. */
  private slot(thread: number): Slot {
    const slot = this.slots[thread] ?? this.open(thread);
    this.slots[thread] = slot;
    return slot;
  }

  private open(thread: number): Slot {
    const { model, cache, precision, memory, packed, stop } = this;
    const worker = this.start({
      memory,
      packed,
      thread,
      stop,
      ...(!this.written && { source: { model, cache, precision } }),
    });
    let started = (): void => {};
    let failed = (_: TesseraError): void => {};
    const slot: Slot = {
      worker,
      ready: new Promise((resolve, reject) => {
        started = resolve;
        failed = reject;
      }),
      settle: () => {},
    };
    slot.ready.catch(() => {});
    const lose = (message: string, cause?: unknown): void => {
      if (this.slots[thread] === slot) this.slots[thread] = undefined;
      const error = this.closed
        ? this.error("CLOSED", "the generator is closed")
        : this.error("MODEL_FAILED", message, { cause, hint: "ask again" });
      failed(error);
      slot.settle(error);
    };
    worker.on("message", (reply: Reply) => {
      if (reply.kind !== "ready") return slot.settle(reply);
      this.written = true;
      worker.unref();
      started();
    });
    worker.on("error", (cause) => lose(`a generator thread failed: ${messageOf(cause)}`, cause));
    worker.on("exit", (code) => lose(`a generator thread ended with code ${code}`));
    return slot;
  }

  private error(
    code: "ABORTED" | "BAD_ARGUMENT" | "CLOSED" | "MISSING_CAPABILITY" | "MODEL_FAILED",
    message: string,
    details: { cause?: unknown; hint?: string } = {},
  ): TesseraError {
    return new TesseraError(code, message, { path: this.model.name, ...details });
  }
}

/** The sequences of each thread: the longest first, each to the thread with the least to do. */
function deal({ offsets }: GeneratorBatch, threads: number): number[][] {
  const tokens = (i: number): number => offsets[i + 1]! - offsets[i]!;
  const parts = Array.from({ length: Math.min(threads, offsets.length - 1) }, () => ({
    sequences: [] as number[],
    load: 0,
  }));
  const order = Array.from({ length: offsets.length - 1 }, (_, i) => i).sort((a, b) => tokens(b) - tokens(a));
  for (const sequence of order) {
    const least = parts.reduce((a, b) => (b.load < a.load ? b : a));
    least.sequences.push(sequence);
    least.load += tokens(sequence);
  }
  return parts.map(({ sequences }) => sequences);
}

function pick(
  { ids, offsets, cached, blocks, sampling, scored, counted }: GeneratorBatch,
  sequences: readonly number[],
): Job {
  return {
    ...ragged(sequences.map((i) => ids.subarray(offsets[i], offsets[i + 1]))),
    cached: Int32Array.from(sequences, (i) => cached[i]!),
    // views would carry the whole of their buffers along
    blocks: sequences.map((i) => blocks[i]!.slice()),
    sampling: sequences.map((i) => sampling[i]),
    scored: sequences.map((i) => scored?.[i] ?? false),
    counted,
  };
}

function gather(
  batch: GeneratorBatch,
  parts: readonly number[][],
  results: readonly GeneratorResult[],
): GeneratorResult {
  const count = batch.cached.length;
  const next = new Int32Array(count).fill(-1);
  const logprob = new Float32Array(count);
  const alternatives: NonNullable<GeneratorResult["alternatives"]>[number][] = [];
  const scores: (Float32Array | undefined)[] = [];
  for (const [p, part] of parts.entries())
    for (const [i, sequence] of part.entries()) {
      const result = results[p]!;
      next[sequence] = result.next[i]!;
      logprob[sequence] = result.logprob[i]!;
      alternatives[sequence] = result.alternatives?.[i];
      scores[sequence] = result.scores?.[i];
    }
  return {
    next,
    logprob,
    alternatives,
    scores,
    modules: batch.counted ? sum(results.map(({ modules }) => modules!)) : undefined,
  };
}

/** The first of some counts, with the others added to it. */
function sum([first, ...others]: readonly ModuleCounts[]): ModuleCounts | undefined {
  for (const other of others)
    for (const kind of ["attention", "feedforward"] as const)
      for (const [layer, counts] of other[kind].entries())
        for (const [module, count] of counts.entries()) first![kind][layer]![module]! += count;
  return first;
}
