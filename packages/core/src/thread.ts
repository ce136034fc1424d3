// internal: Thread, answerJobs, ThreadReply
import type { TransferListItem, Worker } from "node:worker_threads";
import { Deferred } from "./deferred.js";
import { type ErrorCode, type ErrorDetails, messageOf, TesseraError } from "./errors.js";
import type { MaybePromise } from "./operator.js";

/** What a thread sends: first "ready", or "failed" where it cannot start; then one "answer" or "failed" a job. */
export type ThreadReply<Answer> =
  | { readonly kind: "ready" }
  | { readonly kind: "answer"; readonly answer: Answer }
  | {
      readonly kind: "failed";
      readonly code?: ErrorCode;
      readonly message: string;
      readonly hint?: string | undefined;
    };

/** How the errors of a thread read. */
interface ThreadErrors {
  /** What the thread is called: "an encoder thread". */
  readonly name: string;
  /** The code of an error that brings none. */
  readonly code: ErrorCode;
  readonly path?: string;
  /** What to do about a thread that is gone. */
  readonly hint?: string;
}

/**
 * The owner's side of a worker thread that computes one job at a time. It keeps the process alive while it starts and
 * while it works, and never in between. Where the worker throws, ends or says what is no reply, it is lost: whoever
 * waits for it gets a TesseraError, with the cause.
 */
export class Thread<Job, Answer> {
  private readonly started = new Deferred<void>();
  private job: Deferred<Answer> | undefined;
  private lostBy: TesseraError | undefined;

  constructor(
    private readonly worker: Worker,
    private readonly errors: ThreadErrors,
  ) {
    const { name } = errors;
    this.started.promise.catch(() => {});
    worker.on("message", (reply: ThreadReply<Answer>) => this.receive(reply));
    worker.on("messageerror", (cause) => void this.end(this.error(`${name} sent what cannot be read`, { cause })));
    worker.on("error", (cause) => this.lose(this.error(`${name} failed: ${messageOf(cause)}`, { cause })));
    worker.on("exit", (code) => this.lose(this.error(`${name} ended with code ${code}`)));
  }

  /** Resolves when the thread can take jobs; rejects with the error that it was lost by before. */
  get ready(): Promise<void> {
    return this.started.promise;
  }

  /** Whether it takes no more jobs. */
  get lost(): boolean {
    return this.lostBy !== undefined;
  }

  /**
   * What the thread answers.
   * @throws TesseraError what the thread tells of the job, or why it is lost; BAD_ARGUMENT where it works already
   */
  ask(job: Job, transfer: readonly TransferListItem[] = []): Promise<Answer> {
    if (this.lostBy) return Promise.reject(this.lostBy);
    if (this.job) return Promise.reject(new TesseraError("BAD_ARGUMENT", `${this.errors.name} works already`));
    const answer = new Deferred<Answer>({
      ended: () => {
        this.job = undefined;
        this.worker.unref();
      },
    });
    this.job = answer;
    this.worker.ref();
    try {
      this.worker.postMessage(job, transfer);
    } catch (cause) {
      answer.reject(this.error(`${this.errors.name} cannot be sent the job: ${messageOf(cause)}`, { cause }));
    }
    return answer.promise;
  }

  /** Ends the thread; whoever waits for it gets `error`. */
  async end(error: TesseraError): Promise<void> {
    this.lose(error);
    // without it the process may end while whoever closes still waits
    this.worker.ref();
    await this.worker.terminate();
  }

  private receive(reply: ThreadReply<Answer>): void {
    if (reply?.kind === "ready") {
      this.started.resolve();
      if (!this.job) this.worker.unref();
    } else if (reply?.kind === "answer" && this.job) this.job.resolve(reply.answer);
    else if (reply?.kind === "failed") {
      const { code = this.errors.code, message, hint } = reply;
      const error = new TesseraError(code, message, { path: this.errors.path, hint });
      if (this.job) this.job.reject(error);
      else void this.end(error);
    } else void this.end(this.error(`${this.errors.name} sent what is no reply`));
  }

  private lose(error: TesseraError): void {
    if (this.lostBy) return;
    this.lostBy = error;
    this.started.reject(error);
    this.job?.reject(error);
  }

  private error(message: string, details: ErrorDetails = {}): TesseraError {
    const { code, path, hint } = this.errors;
    return new TesseraError(code, message, { path, hint, ...details });
  }
}

/**
 * The thread's own side: it starts, and answers its owner's jobs. What is thrown at the start or in a job reaches the
 * owner with its code, message and hint.
 * @param transfer The buffers of an answer that move to the owner instead of being copied.
 */
export async function answerJobs<Job, Answer>(
  start: () => MaybePromise<(job: Job) => MaybePromise<Answer>>,
  transfer: (answer: Answer) => readonly TransferListItem[] = () => [],
): Promise<void> {
  const port = process.getBuiltinModule("node:worker_threads").parentPort!;
  const reply = (message: ThreadReply<Answer>, buffers: readonly TransferListItem[] = []): void =>
    port.postMessage(message, buffers);
  const fail = (error: unknown): void =>
    reply({
      kind: "failed",
      message: messageOf(error),
      ...(TesseraError.is(error) && { code: error.code, hint: error.hint }),
    });
  try {
    const work = await start();
    port.on("message", async (job: Job) => {
      try {
        const answer = await work(job);
        reply({ kind: "answer", answer }, transfer(answer));
      } catch (error) {
        fail(error);
      }
    });
    reply({ kind: "ready" });
  } catch (error) {
    fail(error);
  }
}
