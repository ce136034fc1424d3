// internal: TokenizerThreads
import { Worker } from "node:worker_threads";
import { TesseraError } from "@tessera/core";
import { Deferred, Thread, ThreadPool, type ThreadTask } from "@tessera/core/internal";
import { type Ragged, ragged } from "../engines/engine.js";

/** What a worker is started with. */
export interface TokenizerSettings {
  /** The text of tokenizer.json. */
  readonly document: string;
  /** Where it came from, for errors. */
  readonly path: string;
}

/** The answer is the packed ids. */
export interface TokenizerJob {
  readonly texts: readonly string[];
  readonly most: number;
}

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
  readonly end: Deferred<Ragged>;
}

/** A tokenizer in worker threads, so that no text holds the event loop. The threads start with the first text. */
export class TokenizerThreads {
  private readonly pool: ThreadPool<TokenizerJob, Ragged>;
  /** In turn: a call that was served goes to the end, so that a short one does not wait for a long one. */
  private readonly calls: Call[] = [];
  private closed = false;

  /** @param workers Threads at most; each holds the vocabulary, about 15 MB. */
  constructor(
    private readonly settings: TokenizerSettings,
    workers = 1,
    start = (settings: TokenizerSettings): Worker =>
      new Worker(new URL("./worker.js", import.meta.url), {
        workerData: settings,
        name: "tessera-tokenizer",
      }),
  ) {
    if (!Number.isSafeInteger(workers) || workers < 1)
      throw new TesseraError("BAD_ARGUMENT", `${workers} is no number of workers`, { hint: "use 1 or more" });
    const errors = {
      name: "a tokenizer thread",
      code: "MODEL_FAILED",
      path: settings.path,
      hint: "ask again",
    } as const;
    this.pool = new ThreadPool({
      threads: workers,
      start: () => new Thread(start(settings), errors),
      take: () => this.take(),
      waiting: () => (this.calls.some(waits) ? 1 : 0),
      refuse: (error) => this.fail(error),
    });
  }

  /**
   * The first `most` ids of each text, packed in the order of the texts.
   * @throws TesseraError ABORTED; CLOSED; BAD_BUNDLE for a damaged tokenizer.json; MODEL_FAILED where a thread died.
   */
  async encode(texts: readonly string[], most = Number.POSITIVE_INFINITY, signal?: AbortSignal): Promise<Ragged> {
    const aborted = (cause: unknown): TesseraError => this.error("ABORTED", "the encoding was aborted", cause);
    if (this.closed) throw this.error("CLOSED", "the tokenizer was closed");
    if (signal?.aborted) throw aborted(signal.reason);
    if (texts.length === 0) return { ids: new Int32Array(), offsets: new Int32Array(1) };
    const call: Call = {
      texts,
      most,
      ids: new Array<Int32Array | undefined>(texts.length),
      next: 0,
      left: texts.length,
      end: new Deferred({ signal, aborted, ended: () => this.remove(call) }),
    };
    this.calls.push(call);
    this.pool.work();
    return call.end.promise;
  }

  async close(): Promise<void> {
    this.closed = true;
    const error = this.error("CLOSED", "the tokenizer was closed");
    this.fail(error);
    await this.pool.close(error);
  }

  private fail(error: TesseraError): void {
    for (const { end } of [...this.calls]) end.reject(error);
  }

  private remove(call: Call): void {
    const place = this.calls.indexOf(call);
    if (place >= 0) this.calls.splice(place, 1);
  }

  private take(): ThreadTask<TokenizerJob, Ragged> | undefined {
    const call = this.calls.find(waits);
    if (!call) return undefined;
    this.remove(call);
    this.calls.push(call);
    const from = call.next;
    let units = 0;
    do units += call.texts[call.next++]!.length;
    while (waits(call) && units < unitsPerJob);
    return {
      job: { texts: call.texts.slice(from, call.next), most: call.most },
      done({ ids, offsets }) {
        for (let i = 0; i + 1 < offsets.length; i++) call.ids[from + i] = ids.subarray(offsets[i], offsets[i + 1]);
        call.left -= offsets.length - 1;
        if (call.left === 0) call.end.resolve(ragged(call.ids as Int32Array[]));
      },
      failed: (error) => call.end.reject(error),
    };
  }

  private error(code: "ABORTED" | "CLOSED", message: string, cause?: unknown): TesseraError {
    return new TesseraError(code, message, { path: this.settings.path, cause });
  }
}

const waits = (call: Call): boolean => call.next < call.texts.length;
