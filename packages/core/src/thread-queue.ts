// internal: ThreadQueue
import { systemClock } from "./clock.js";
import { Deferred, type DeferredSettings } from "./deferred.js";
import type { TesseraError } from "./errors.js";
import type { Thread } from "./thread.js";
import { ThreadPool, type ThreadTask } from "./thread-pool.js";

export interface ThreadQueueSettings<Job, Answer> {
  /** Threads at most; they start when there is work. */
  readonly threads: number;
  start(): Thread<Job, Answer>;
  /** How long a job may take, in milliseconds from when a thread has it. */
  limitMs(job: Job): number;
  /** What a job comes to that took longer. What it throws fails the job. */
  late(ms: number): Answer;
  /** What a job comes to that failed; by default it fails with `error`. */
  failed?(error: unknown, ms: number): Answer;
  /** Whether a thread is used again after this answer; by default it is. */
  reusable?(answer: Answer): boolean;
}

interface Queued<Job, Answer> extends ThreadTask<Job, Answer> {
  readonly end: Deferred<Answer>;
  started: number;
  forget?: () => void;
  /** Whether the thread is left alone when the job ends. */
  over: boolean;
}

/**
 * First come, first served: for jobs that only their thread's end can interrupt. A job that is aborted or takes too long
 * is ended together with its thread, and the other jobs do not notice.
 */
export class ThreadQueue<Job, Answer> {
  private readonly waiting = new Set<Queued<Job, Answer>>();
  private readonly pool: ThreadPool<Job, Answer>;
  private closed: TesseraError | undefined;

  constructor(private readonly settings: ThreadQueueSettings<Job, Answer>) {
    this.pool = new ThreadPool({
      threads: settings.threads,
      start: () => settings.start(),
      take: () => this.take(),
      waiting: () => this.waiting.size,
      refuse: (error) => this.refuse(error),
    });
  }

  /** @throws TesseraError of the thread; what it was closed with; what `aborted` makes of the signal's reason */
  run(job: Job, { signal, aborted }: Omit<DeferredSettings, "ended"> = {}): Promise<Answer> {
    if (this.closed) return Promise.reject(this.closed);
    if (signal?.aborted) return Promise.reject(aborted?.(signal.reason) ?? signal.reason);
    const queued: Queued<Job, Answer> = {
      job,
      started: 0,
      over: false,
      end: new Deferred({ signal, aborted, ended: () => this.leave(queued) }),
      done: (answer) => {
        queued.over = this.settings.reusable?.(answer) ?? true;
        queued.end.resolve(answer);
      },
      failed: (error) => {
        queued.over = true;
        const { failed } = this.settings;
        if (failed && !this.closed) this.settle(queued, (ms) => failed(error, ms));
        else queued.end.reject(error);
      },
    };
    this.waiting.add(queued);
    this.pool.work();
    return queued.end.promise;
  }

  /** Ends every thread; jobs that wait or run fail with `error`, and later ones too. */
  async close(error: TesseraError): Promise<void> {
    this.closed = error;
    this.refuse(error);
    await this.pool.close(error);
  }

  private take(): Queued<Job, Answer> | undefined {
    const [queued] = this.waiting;
    if (!queued) return undefined;
    this.waiting.delete(queued);
    queued.started = performance.now();
    const late = () => this.settle(queued, (ms) => this.settings.late(ms));
    queued.forget = systemClock.after(this.settings.limitMs(queued.job), late);
    return queued;
  }

  private settle({ end, started }: Queued<Job, Answer>, answer: (ms: number) => Answer): void {
    try {
      end.resolve(answer(performance.now() - started));
    } catch (error) {
      end.reject(error);
    }
  }

  private leave(queued: Queued<Job, Answer>): void {
    queued.forget?.();
    this.waiting.delete(queued);
    if (!queued.over) this.pool.interrupt(queued);
  }

  private refuse(error: TesseraError): void {
    for (const { end } of this.waiting) end.reject(error);
  }
}
