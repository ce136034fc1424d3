import { TesseraError } from "@tessera/core";
import { limits, type Policy } from "@tessera/core/internal";
import { located } from "./foreign.js";
import { AttemptFeed, type Feed } from "./gates.js";
import type { Activation, Activity, Body, Row } from "./program.js";
import type { Owner, Run } from "./run.js";
import { Scope } from "./scope.js";

interface AttemptsProgram extends Policy {
  /** Whether the body is a flow: when a flow fails, it leaves steps that are finished. */
  readonly composed: boolean;
}

/** An activation under a policy: a timeout for each attempt, another attempt after a failure, left out in the end or not. */
class Attempts implements Owner, Activity {
  private attempt = 0;
  private scope: Scope | undefined;
  private parts: AttemptFeed | undefined;

  private readonly run: Run;
  private readonly outer: Scope;
  private readonly path: string;
  private readonly input: Row;
  private readonly owner: Owner;
  private readonly key: number;
  private readonly feed: Feed | undefined;

  constructor(
    private readonly program: AttemptsProgram,
    private readonly body: Body,
    { run, scope, path, input, owner, key, feed }: Activation,
  ) {
    this.run = run;
    this.outer = scope;
    this.path = path;
    this.input = input;
    this.owner = owner;
    this.key = key;
    this.feed = feed;
  }

  /** Starts after the attempts that, as the journal says, failed before the run was interrupted. */
  start(): void {
    const { journal } = this.run;
    if (journal) {
      const place = this.outer.place(this.path);
      if (journal.skipped(place, this.input)) return this.owner.skipped(this.key);
      while (journal.skipped(failedAt(place, this.attempt + 1), this.input)) this.attempt++;
    }
    this.startAttempt();
  }

  private startAttempt(): void {
    if (this.outer.over) return;
    const { timeoutMs, retry, onError } = this.program;
    const attempt = ++this.attempt;
    const scope = new Scope(this.outer, attempt, this.path);
    this.scope = scope;
    const mayBeTakenBack = (retry?.attempts ?? 1) > 1 || onError === "skip";
    this.parts = this.feed && mayBeTakenBack ? new AttemptFeed(this.feed) : undefined;
    if (timeoutMs !== undefined)
      scope.cleanup = this.run.clock.after(timeoutMs, () => {
        const error = new TesseraError("NODE_TIMEOUT", `no result within ${timeoutMs} ms`, { path: this.path });
        if (this.run.events) this.run.emit({ type: "node-error", path: this.path, error, attempt });
        this.failed(attempt, error);
      });
    const activity = this.body({
      run: this.run,
      scope,
      path: this.path,
      input: this.input,
      owner: this,
      key: attempt,
      feed: this.parts?.feed ?? this.feed,
    });
    activity.start();
  }

  /** Whether an attempt that reports is the one under way, and not one that was given up. */
  private isCurrent(attempt: number): boolean {
    return !this.outer.over && attempt === this.attempt && !this.scope?.over;
  }

  ended(attempt: number, output: Row): void {
    if (!this.isCurrent(attempt)) return;
    this.scope!.end();
    this.parts?.open();
    this.owner.ended(this.key, output);
  }

  failed(attempt: number, error: TesseraError): void {
    if (!this.isCurrent(attempt)) return;
    this.scope!.cancel(error);
    this.parts?.close();
    const { retry, onError } = this.program;
    if (this.parts?.sent) this.owner.failed(this.key, isFinal(error));
    else if (attempt < (retry?.attempts ?? 1)) this.again(attempt);
    else if (onError === "skip") this.noted(this.outer.place(this.path), () => this.owner.skipped(this.key));
    else this.owner.failed(this.key, error);
    this.run.drain();
  }

  /**
   * Begins another attempt, after a pause. Of a composed node it is noted first that this one failed: a run that goes on
   * then begins with the next, and does nothing again that this one did.
   */
  private again(attempt: number): void {
    const later = () => {
      const pause = Math.min(limits.milliseconds, (this.program.retry?.backoffMs ?? 0) * 2 ** (attempt - 1));
      const scope = new Scope(this.outer);
      const worker = { scope };
      this.run.resting?.begins(worker);
      scope.cleanup = this.run.clock.after(pause, () => {
        scope.end();
        this.startAttempt();
        this.run.resting?.ends(worker);
      });
    };
    if (this.program.composed) this.noted(failedAt(this.outer.place(this.path), attempt), later);
    else later();
  }

  /** Goes on; where a journal is kept, once it holds that something did not succeed. */
  private noted(place: string, goOn: () => void): void {
    const { journal } = this.run;
    if (!journal) return goOn();
    const worker = { scope: this.outer };
    this.run.resting?.begins(worker);
    journal.skip(place, this.input).then(
      () => {
        if (!this.outer.over) goOn();
        this.run.resting?.ends(worker);
      },
      (thrown) => {
        if (!this.outer.over) this.owner.failed(this.key, located(thrown, this.path));
      },
    );
  }

  skipped(attempt: number): void {
    if (!this.isCurrent(attempt)) return;
    this.scope!.end();
    this.owner.skipped(this.key);
  }

  refused(attempt: number, reached?: Row, partial?: Row): void {
    if (!this.isCurrent(attempt)) return;
    this.scope!.end();
    this.parts?.open();
    this.owner.refused(this.key, reached, partial);
  }
}

/** A part that a client has seen cannot be taken back: another attempt would go on where this one broke off. */
const isFinal = (error: TesseraError): TesseraError =>
  new TesseraError(error.code, error.message, {
    path: error.path,
    hint: "a part of the output had been sent: the node was not tried again, and not left out",
    cause: error.cause,
    findings: error.findings,
  });

/** What a journal knows a failed attempt by. */
const failedAt = (place: string, attempt: number): string => `${place}!${attempt}`;

/** A body under a policy. */
export const attemptsBody =
  (program: AttemptsProgram, body: Body): Body =>
  (activation) =>
    new Attempts(program, body, activation);
