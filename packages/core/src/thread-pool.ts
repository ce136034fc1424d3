// internal: ThreadTask, ThreadPool
import type { TransferListItem } from "node:worker_threads";
import { TesseraError } from "./errors.js";
import type { Thread } from "./thread.js";

/** A job for a thread, and what its end means. */
export interface ThreadTask<Job, Answer> {
  readonly job: Job;
  readonly transfer?: readonly TransferListItem[];
  done(answer: Answer): void;
  /** Gets a TesseraError of the thread, or what `done` threw. */
  failed(error: unknown): void;
}

/** Where a pool gets its threads and its work. */
interface ThreadPoolSettings<Job, Answer> {
  /** Threads at most; they start when there is work. */
  readonly threads: number;
  start(): Thread<Job, Answer>;
  /** The work that comes next, for a thread that is free. */
  take(): ThreadTask<Job, Answer> | undefined;
  /** How many more threads waiting work could use. */
  waiting(): number;
  /** No thread runs and none can be started: what waits has to fail. */
  refuse(error: TesseraError): void;
}

/**
 * Threads that are given work as they become free. One that is lost fails its task and is replaced when there is work;
 * where another cannot be started, those that run are as many as there are, until one is started again.
 */
export class ThreadPool<Job, Answer> {
  private readonly threads = new Map<Thread<Job, Answer>, ThreadTask<Job, Answer> | "starting" | undefined>();
  private most: number;
  private closed = false;

  constructor(private readonly settings: ThreadPoolSettings<Job, Answer>) {
    this.most = settings.threads;
  }

  /** Resolves when the first thread has started. @throws TesseraError why it cannot be. */
  ready(): Promise<void> {
    const [first = this.open()] = this.threads.keys();
    return first.ready;
  }

  /** To be called when there is new work: gives it to threads that are free, and starts others for what waits. */
  work(): void {
    if (this.closed) return;
    let starting = 0;
    for (const [thread, task] of this.threads) {
      if (thread.lost) this.threads.delete(thread);
      else if (task === "starting") starting++;
      else if (!task) {
        const next = this.settings.take();
        if (!next) return;
        void this.run(thread, next);
      }
    }
    for (let more = this.settings.waiting() - starting; more > 0 && this.threads.size < this.most; more--) this.open();
  }

  /** Ends the thread that runs a task, where one does: nothing else can interrupt it. The task fails with ABORTED. */
  interrupt(task: ThreadTask<Job, Answer>): void {
    for (const [thread, running] of this.threads)
      if (running === task) void thread.end(new TesseraError("ABORTED", "the task was interrupted"));
  }

  /** Ends every thread; the tasks that they run fail with `error`. */
  async close(error: TesseraError): Promise<void> {
    this.closed = true;
    const threads = [...this.threads.keys()];
    this.threads.clear();
    await Promise.all(threads.map((thread) => thread.end(error)));
  }

  private open(): Thread<Job, Answer> {
    const thread = this.settings.start();
    this.threads.set(thread, "starting");
    thread.ready.then(
      () => {
        this.most = this.settings.threads;
        this.free(thread);
      },
      (error) => {
        this.threads.delete(thread);
        this.most = Math.max(1, this.threads.size);
        if (this.threads.size === 0) this.settings.refuse(error);
        this.work();
      },
    );
    return thread;
  }

  private async run(thread: Thread<Job, Answer>, task: ThreadTask<Job, Answer>): Promise<void> {
    this.threads.set(thread, task);
    try {
      task.done(await thread.ask(task.job, task.transfer));
    } catch (error) {
      task.failed(error);
    }
    this.free(thread);
  }

  private free(thread: Thread<Job, Answer>): void {
    if (this.threads.has(thread)) this.threads.set(thread, undefined);
    this.work();
  }
}
