import { Worker } from "node:worker_threads";
import { TesseraError } from "@tessera/core";
import { type Ragged, ragged } from "./engine.js";

/** What a worker is started with. */
export interface TokenizerSettings {
  /** The text of tokenizer.json. */
  readonly document: string;
  /** Where it came from, for errors. */
  readonly path: string;
}

export interface TokenizerJob {
  readonly texts: readonly string[];
  readonly most: number;
}

/** One reply a job, in order: the packed ids, or why there are none. */
export type TokenizerReply =
  | { readonly kind: "ids"; readonly batch: Ragged }
  | { readonly kind: "failed"; readonly code: "BAD_BUNDLE" | "MODEL_FAILED"; readonly message: string };

/** UTF-16 units of text in one job: some tens of milliseconds of a worker's time. */
const unitsPerJob = 65_536;

/** One call of `encode` that is not finished. */
interface Call {
  readonly texts: readonly string[];
  readonly most: number;
  /** The ids of each text, as they come. */
  readonly ids: (Int32Array | undefined)[];
  /** The first text that no worker has yet. */
  next: number;
  left: number;
  resolve(batch: Ragged): void;
  reject(error: unknown): void;
}

interface Slot {
  readonly worker: Worker;
  running: { readonly call: Call; readonly from: number } | undefined;
}

/** A tokenizer in worker threads, so that no text holds the event loop. The threads start with the first text. */
export class TokenizerThreads {
  private readonly slots = new Set<Slot>();
  /** In turn: a call that was served goes to the end, so that a short one does not wait for a long one. */
  private readonly calls: Call[] = [];
  private closed = false;

  /** @param workers Threads at most; each holds the vocabulary, about 15 MB. */
  constructor(
    private readonly settings: TokenizerSettings,
    private readonly workers = 1,
    private readonly start = (settings: TokenizerSettings): Worker =>
      new Worker(new URL("./tokenizer-worker.js", import.meta.url), {
        workerData: settings,
        name: "tessera-tokenizer",
      }),
  ) {
    if (!Number.isSafeInteger(workers) || workers < 1)
      throw new TesseraError("BAD_ARGUMENT", `${workers} is no number of workers`, { hint: "use 1 or more" });
  }

  /**
   * The first `most` ids of each text, packed in the order of the texts.
   * @throws TesseraError ABORTED; CLOSED; BAD_BUNDLE for a damaged tokenizer.json; MODEL_FAILED where a thread died.
   */
  encode(texts: readonly string[], most = Number.POSITIVE_INFINITY, signal?: AbortSignal): Promise<Ragged> {
    return new Promise((resolve, reject) => {
      if (this.closed) return reject(this.closedError());
      if (signal?.aborted) return reject(this.aborted(signal));
      if (texts.length === 0) return resolve({ ids: new Int32Array(), offsets: new Int32Array(1) });
      const settle = (end: () => void): void => {
        signal?.removeEventListener("abort", abort);
        const place = this.calls.indexOf(call);
        if (place >= 0) this.calls.splice(place, 1);
        end();
      };
      const call: Call = {
        texts,
        most,
        ids: new Array<Int32Array | undefined>(texts.length),
        next: 0,
        left: texts.length,
        resolve: (batch) => settle(() => resolve(batch)),
        reject: (error) => settle(() => reject(error)),
      };
      const abort = (): void => call.reject(this.aborted(signal!));
      signal?.addEventListener("abort", abort, { once: true });
      this.calls.push(call);
      this.work();
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const call of [...this.calls]) call.reject(this.closedError());
    const slots = [...this.slots];
    this.slots.clear();
    await Promise.all(slots.map(({ worker }) => worker.terminate()));
  }

  /** Gives work to idle threads, and starts another while texts wait. */
  private work(): void {
    for (const slot of this.slots) if (!slot.running) this.give(slot);
    while (!this.closed && this.slots.size < this.workers && this.calls.some(waits)) this.give(this.open());
  }

  private open(): Slot {
    const slot: Slot = { worker: this.start(this.settings), running: undefined };
    this.slots.add(slot);
    slot.worker.on("message", (reply: TokenizerReply) => this.receive(slot, reply));
    slot.worker.on("error", (cause) => this.lose(slot, "a tokenizer thread failed", cause));
    slot.worker.on("exit", (code) => this.lose(slot, `a tokenizer thread ended with code ${code}`));
    return slot;
  }

  private give(slot: Slot): void {
    const place = this.calls.findIndex(waits);
    if (place < 0) return;
    const [call] = this.calls.splice(place, 1) as [Call];
    this.calls.push(call);
    const from = call.next;
    let units = 0;
    do units += call.texts[call.next++]!.length;
    while (waits(call) && units < unitsPerJob);
    slot.running = { call, from };
    slot.worker.ref();
    slot.worker.postMessage({ texts: call.texts.slice(from, call.next), most: call.most } satisfies TokenizerJob);
  }

  private receive(slot: Slot, reply: TokenizerReply): void {
    const { running } = slot;
    slot.running = undefined;
    slot.worker.unref();
    if (running && reply.kind === "failed")
      running.call.reject(new TesseraError(reply.code, reply.message, { path: this.settings.path }));
    else if (running && reply.kind === "ids") this.keep(running.call, running.from, reply.batch);
    this.work();
  }

  private keep(call: Call, from: number, { ids, offsets }: Ragged): void {
    for (let i = 0; i + 1 < offsets.length; i++) call.ids[from + i] = ids.subarray(offsets[i], offsets[i + 1]);
    call.left -= offsets.length - 1;
    if (call.left === 0) call.resolve(ragged(call.ids as Int32Array[]));
  }

  private lose(slot: Slot, message: string, cause?: unknown): void {
    if (!this.slots.delete(slot)) return;
    slot.running?.call.reject(new TesseraError("MODEL_FAILED", message, { path: this.settings.path, cause }));
    this.work();
  }

  private closedError(): TesseraError {
    return new TesseraError("CLOSED", "the tokenizer was closed", { path: this.settings.path });
  }

  private aborted(signal: AbortSignal): TesseraError {
    return new TesseraError("ABORTED", "the encoding was aborted", { path: this.settings.path, cause: signal.reason });
  }
}

const waits = (call: Call): boolean => call.next < call.texts.length;
