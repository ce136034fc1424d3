// public: CpuEngineSettings, cpuEngine
import { availableParallelism } from "node:os";
import type { Worker } from "node:worker_threads";
import { TesseraError } from "@tessera/core";
import { Deferred, Thread, ThreadPool, type ThreadTask } from "@tessera/core/internal";
import { type EncoderModel, longestInput } from "../architectures/encoder.js";
import { CpuDecoder } from "./cpu-decoder/session.js";
import { EncoderWorker } from "./cpu-encoder/encoder-worker.js";
import type { Precision } from "./cpu-encoder/exit-graph.js";
import { checkBatch, type EncoderSession, type Engine, type Ragged } from "./engine.js";
import type { Job } from "./protocol.js";

/** How the CPU engine computes: with how many threads, and in which precision. */
export interface CpuEngineSettings {
  /**
   * The most threads, each with its own copy of the compiled model; by default one for each core. They start when there
   * is work.
   */
  readonly workers?: number | undefined;
  /** "int8" multiplies the stored weights with activations that are quantised row by row. "fp32" is for comparison. */
  readonly precision?: Exclude<Precision, "fp16"> | undefined;
}

/**
 * Computes models on the CPU. Encoders run in onnxruntime-node, in worker threads with one ONNX thread each. Texts of
 * equal length run together, also those of different callers, so there is no padding. The caller that was served the
 * fewest tokens goes first, so a query does not wait for an index. Decoders run in our own WebAssembly kernels; the
 * sequences of a step are divided among the threads.
 */
export function cpuEngine(settings: CpuEngineSettings = {}): Engine {
  const precision = settings.precision ?? "int8";
  const workers = settings.workers ?? availableParallelism();
  if (!Number.isSafeInteger(workers) || workers < 1)
    throw new TesseraError("BAD_ARGUMENT", `${workers} is no number of workers`, { hint: "use 1 or more" });
  return {
    info: { kind: "cpu", device: `${process.arch}, up to ${workers} threads`, dtype: precision },
    async loadEncoder(model) {
      const session = new CpuEncoder(model, workers, () => new EncoderWorker({ model, precision }));
      await session.ready();
      return session;
    },
    async loadDecoder(model, cache) {
      const session = new CpuDecoder(model, cache, precision, workers);
      await session.ready();
      return session;
    },
  };
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
  readonly end: Deferred<Float32Array>;
}

/** A pool of workers over one model. */
export class CpuEncoder implements EncoderSession {
  readonly exits: readonly number[];
  readonly hidden: number;
  private readonly longest: number;
  private readonly pool: ThreadPool<Job, Float32Array>;
  private readonly calls = new Set<Call>();
  private closed = false;

  constructor(
    private readonly model: EncoderModel,
    workers: number,
    start: () => Worker,
  ) {
    this.exits = model.exits.map(({ layer }) => layer);
    this.hidden = model.hidden;
    this.longest = longestInput(model);
    const errors = { name: "an encoder thread", code: "MODEL_FAILED", path: model.name, hint: "ask again" } as const;
    this.pool = new ThreadPool({
      threads: workers,
      start: () => new Thread(start(), errors),
      take: () => this.take(),
      // one after another, since each compiles the model
      waiting: () => ([...this.calls].some(({ waiting }) => waiting.size > 0) ? 1 : 0),
      refuse: (error) => this.fail(error),
    });
  }

  /** Starts the first worker; rejects with DEPENDENCY_MISSING where the runtime cannot be loaded. */
  ready(): Promise<void> {
    return this.pool.ready();
  }

  async encode(batch: Ragged, exit: number, signal?: AbortSignal): Promise<Float32Array> {
    checkBatch(batch, exit, this.model, this.longest);
    const aborted = (cause: unknown): TesseraError => this.error("ABORTED", "the encoding was aborted", cause);
    if (this.closed) throw this.error("CLOSED", "the encoder is closed");
    if (signal?.aborted) throw aborted(signal.reason);
    const texts = batch.offsets.length - 1;
    const vectors = new Float32Array(texts * this.hidden);
    if (texts === 0) return vectors;
    const call: Call = {
      exit,
      batch,
      waiting: byLength(batch),
      vectors,
      left: texts,
      served: this.calls.size === 0 ? 0 : Math.min(...[...this.calls].map((other) => other.served)),
      end: new Deferred({ signal, aborted, ended: () => this.calls.delete(call) }),
    };
    this.calls.add(call);
    this.pool.work();
    return call.end.promise;
  }

  async close(): Promise<void> {
    this.closed = true;
    const error = this.error("CLOSED", "the encoder is closed");
    this.fail(error);
    await this.pool.close(error);
  }

  private fail(error: TesseraError): void {
    for (const { end } of this.calls) end.reject(error);
  }

  /** The next texts of equal length: those of the call that was served least, then others that fit beside them. */
  private take(): ThreadTask<Job, Float32Array> | undefined {
    let first: Call | undefined;
    for (const call of this.calls)
      if (call.waiting.size > 0 && (first === undefined || call.served < first.served)) first = call;
    if (first === undefined) return undefined;
    const { exit } = first;
    const length = first.waiting.keys().next().value!;
    const most = Math.max(1, Math.floor(tokensPerRun / length));
    const taken: { call: Call; text: number }[] = [];
    for (const call of [first, ...this.calls]) {
      const texts = call.exit === exit ? call.waiting.get(length) : undefined;
      while (texts && texts.length > 0 && taken.length < most) {
        taken.push({ call, text: texts.pop()! });
        call.served += length;
      }
      if (texts?.length === 0) call.waiting.delete(length);
      if (taken.length === most) break;
    }
    const ids = new Int32Array(taken.length * length);
    for (const [i, { call, text }] of taken.entries()) {
      const from = call.batch.offsets[text]!;
      ids.set(call.batch.ids.subarray(from, from + length), i * length);
    }
    return {
      job: { ids, texts: taken.length, length, exit },
      transfer: [ids.buffer],
      done: (vectors) => {
        for (const [i, { call, text }] of taken.entries()) {
          call.vectors.set(vectors.subarray(i * this.hidden, (i + 1) * this.hidden), text * this.hidden);
          call.left -= 1;
          if (call.left === 0) call.end.resolve(call.vectors);
        }
      },
      failed(error) {
        for (const { call } of taken) call.end.reject(error);
      },
    };
  }

  private error(code: "ABORTED" | "CLOSED", message: string, cause?: unknown): TesseraError {
    return new TesseraError(code, message, { path: this.model.name, cause });
  }
}

/** The texts of each length, the long ones first: the last runs are then short, and the workers end together. */
function byLength({ offsets }: Ragged): Map<number, number[]> {
  const texts = new Map<number, number[]>();
  for (let text = offsets.length - 2; text >= 0; text--) {
    const length = offsets[text + 1]! - offsets[text]!;
    const same = texts.get(length);
    if (same) same.push(text);
    else texts.set(length, [text]);
  }
  return new Map([...texts].sort(([a], [b]) => b - a));
}
