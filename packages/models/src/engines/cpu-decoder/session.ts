import { Worker } from "node:worker_threads";
import { TesseraError } from "@tessera/core";
import { onAbort, Thread } from "@tessera/core/internal";
import type { DecoderModel, Routing } from "../../architectures/decoder.js";
import { checkDecoderBatch } from "../decoder-batch.js";
import {
  type CacheSize,
  type DecoderBatch,
  type DecoderResult,
  type DecoderSession,
  type ModuleCounts,
  ragged,
} from "../engine.js";
import { type PackedModel, type Precision, plan } from "./packed.js";
import type { Answer, Job, ThreadSettings } from "./protocol.js";
import { teamCells } from "./team.js";
import { mostBytes, type SharedMemory, sharedMemory } from "./wasm.js";

type Start = (settings: ThreadSettings) => Worker;

const startWorker: Start = (workerData) =>
  new Worker(new URL("./worker.js", import.meta.url), { workerData, name: "tessera-decoder" });

/** Multiply-adds of a token in a layer from which on threads compute a step together: below, they would wait more than compute. */
const worthSharing = 1e6;

/**
 * A decoder in worker threads over one shared memory of weights and cache. A step's sequences are dealt to as many threads as
 * there are; where that leaves some with little to do, all compute the step together, if the model is large enough. A thread that
 * dies fails its step, and the next step starts another.
 */
export class CpuDecoder implements DecoderSession {
  readonly blocks: number;
  readonly blockTokens: number;
  private readonly packed: PackedModel;
  private readonly memory: SharedMemory;
  private readonly stop = new Int32Array(new SharedArrayBuffer(4));
  private readonly cells = teamCells();
  private readonly shares: boolean;
  private readonly threads: (Thread<Job, Answer> | undefined)[];
  private written = false;
  private closed = false;
  private last: Promise<unknown> = Promise.resolve();

  /** @throws TesseraError BAD_ARGUMENT for a cache of no size, or that does not fit; MISSING_CAPABILITY */
  constructor(
    private readonly model: DecoderModel,
    private readonly cache: CacheSize,
    private readonly precision: Precision,
    threads: number,
    private readonly start: Start = startWorker,
    sharedFrom = worthSharing,
  ) {
    this.blocks = cache.blocks;
    this.blockTokens = cache.blockTokens;
    if (!Number.isSafeInteger(cache.blocks) || cache.blocks < 1 || !(cache.blockTokens >= 1))
      throw this.error("BAD_ARGUMENT", `${cache.blocks} blocks of ${cache.blockTokens} tokens are no cache`);
    const size = model.layers[0]!.attention.query[0]!.rows;
    if ((size / model.heads) % 4 !== 0)
      throw this.error("MISSING_CAPABILITY", `a head of ${size / model.heads} components is no multiple of 4`);
    this.packed = plan(model, cache, precision, threads).packed;
    this.shares = threads > 1 && costOfLayer(model) >= sharedFrom;
    this.threads = new Array<Thread<Job, Answer> | undefined>(threads).fill(undefined);
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
    await this.thread(0).ready;
  }

  step(batch: DecoderBatch, signal?: AbortSignal): Promise<DecoderResult> {
    const result = this.last.then(() => this.run(batch, signal));
    this.last = result.catch(() => {});
    return result;
  }

  async close(): Promise<void> {
    this.closed = true;
    await Promise.all(this.threads.map((thread) => thread?.end(this.closedError())));
  }

  private async run(batch: DecoderBatch, signal?: AbortSignal): Promise<DecoderResult> {
    if (this.closed) throw this.closedError();
    const aborted = (): TesseraError => this.error("ABORTED", "the step was aborted", { cause: signal?.reason });
    if (signal?.aborted) throw aborted();
    checkDecoderBatch(batch, this.model, this.cache);
    Atomics.store(this.stop, 0, 0);
    const forget = signal && onAbort(signal, () => this.halt());
    try {
      const dealt = deal(batch, this.threads.length);
      const together = this.shares && isUneven(batch, dealt, this.threads.length);
      const all = Array.from(batch.cached.keys());
      const parts = together ? this.threads.map(() => all) : dealt;
      const team = together ? parts.length : undefined;
      Atomics.store(this.cells, 0, 0);
      // the thread that packs comes first
      if (!this.written) await this.thread(0).ready;
      // all have ended before any error is told: a part that still ran would write into the cache of the next step
      const ended = await Promise.allSettled(parts.map((part, i) => this.ask(i, { batch: pick(batch, part), team })));
      const answers = ended.map((end) => {
        if (end.status === "rejected") throw end.reason;
        return end.value;
      });
      const results = answers.filter((answer) => answer !== "stopped");
      if (results.length < answers.length) throw aborted();
      return gather(batch, parts, results);
    } finally {
      forget?.();
    }
  }

  /** Ends the step that runs. */
  private halt(): void {
    Atomics.store(this.stop, 0, 1);
    Atomics.notify(this.cells, 1);
  }

  private async ask(number: number, job: Job): Promise<Answer> {
    try {
      const thread = this.thread(number);
      await thread.ready;
      return await thread.ask(job);
    } catch (error) {
      // the others of a team would wait for it
      if (job.team !== undefined) this.halt();
      throw error;
    }
  }

  /** The thread of this number, started where there is none. */
  private thread(number: number): Thread<Job, Answer> {
    const running = this.threads[number];
    if (running && !running.lost) return running;
    if (this.closed) throw this.closedError();
    const { model, cache, precision, memory, packed, stop, cells } = this;
    const source = !this.written && { source: { model, cache, precision } };
    const thread = new Thread<Job, Answer>(this.start({ memory, packed, thread: number, stop, cells, ...source }), {
      name: "a decoder thread",
      code: "MODEL_FAILED",
      path: model.name,
      hint: "ask again",
    });
    thread.ready.then(
      () => {
        this.written = true;
      },
      () => {},
    );
    this.threads[number] = thread;
    return thread;
  }

  private closedError(): TesseraError {
    return this.error("CLOSED", "the decoder is closed");
  }

  private error(
    code: "ABORTED" | "BAD_ARGUMENT" | "CLOSED" | "MISSING_CAPABILITY",
    message: string,
    details: { cause?: unknown; hint?: string } = {},
  ): TesseraError {
    return new TesseraError(code, message, { path: this.model.name, ...details });
  }
}

/** The sequences of each thread: the longest first, each to the thread with the least to do. */
function deal({ offsets }: DecoderBatch, threads: number): number[][] {
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
  { ids, offsets, cached, blocks, sampling, scored, counted }: DecoderBatch,
  sequences: readonly number[],
): DecoderBatch {
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

/** What threads gave for their sequences, or for their part of the same. */
function gather(batch: DecoderBatch, parts: readonly number[][], results: readonly DecoderResult[]): DecoderResult {
  const count = batch.cached.length;
  const next = new Int32Array(count).fill(-1);
  const logprob = new Float32Array(count);
  const alternatives: NonNullable<DecoderResult["alternatives"]>[number][] = [];
  const scores: (Float32Array | undefined)[] = [];
  for (const [p, part] of parts.entries())
    for (const [i, sequence] of part.entries()) {
      const result = results[p]!;
      if (result.next[i]! >= 0) {
        next[sequence] = result.next[i]!;
        logprob[sequence] = result.logprob[i]!;
        alternatives[sequence] = result.alternatives?.[i];
      }
      const found = result.scores?.[i];
      const known = scores[sequence];
      // each token was scored by one thread, and is 0 in what others gave
      if (known && found) for (const [t, score] of found.entries()) known[t]! += score;
      else scores[sequence] ??= found;
    }
  return {
    next,
    logprob,
    alternatives,
    scores,
    modules: batch.counted ? sum(results.map(({ modules }) => modules!)) : undefined,
  };
}

/** Whether dealing sequences would leave a fifth of the threads' time unused. */
function isUneven({ offsets, ids }: DecoderBatch, dealt: readonly number[][], threads: number): boolean {
  const loads = dealt.map((part) => part.reduce((sum, i) => sum + offsets[i + 1]! - offsets[i]!, 0));
  return Math.max(...loads) * threads > 1.25 * ids.length;
}

/** Multiply-adds of one token in the first layer, without attention. */
function costOfLayer({ layers, hidden }: DecoderModel): number {
  const { attention, feedforward } = layers[0]!;
  const top = ({ routing }: { routing: Routing }): number => (routing.kind === "none" ? 1 : routing.top);
  const matrices = feedforward.gate ? 3 : 2;
  return (
    hidden * (2 * top(attention) * attention.query[0]!.rows + matrices * top(feedforward) * feedforward.input[0]!.rows)
  );
}

/** The first of some counts, with the others added to it. */
function sum([first, ...others]: readonly ModuleCounts[]): ModuleCounts | undefined {
  for (const other of others)
    for (const kind of ["attention", "feedforward"] as const)
      for (const [layer, counts] of other[kind].entries())
        for (const [module, count] of counts.entries()) first![kind][layer]![module]! += count;
  return first;
}
