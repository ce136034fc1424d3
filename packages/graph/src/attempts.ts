// internal
import { type Policy, TesseraError } from "@tessera/core";
import { type Feed, HeldFeed } from "./gates.js";
import type { Begin, Row } from "./program.js";
import type { Owner, Run } from "./run.js";
import { Scope } from "./scope.js";
import { located } from "./step.js";

/** An activation under a policy: a timeout for each attempt, another attempt after a failure, left out in the end or not. */
class Attempts implements Owner {
  private attempt = 0;
  private scope: Scope | undefined;
  private held: HeldFeed | undefined;

  constructor(
    private readonly policy: Policy,
    private readonly body: Begin,
    private readonly run: Run,
    private readonly outer: Scope,
    private readonly path: string,
    private readonly input: Row,
    private readonly owner: Owner,
    private readonly key: number,
    private readonly feed: Feed | undefined,
  ) {}

  begin(): void {
    if (this.outer.over) return;
    const { journal } = this.run;
    if (this.attempt === 0 && journal?.skipped(this.outer.place(this.path))) return this.owner.skipped(this.key);
    const { timeoutMs, retry, onError } = this.policy;
    const attempt = ++this.attempt;
    const scope = new Scope(this.outer, attempt, this.path);
    this.scope = scope;
    const mayBeTakenBack = (retry?.attempts ?? 1) > 1 || onError === "skip";
    this.held = this.feed && mayBeTakenBack ? new HeldFeed(this.feed) : undefined;
    if (timeoutMs !== undefined) {
      const timer = setTimeout(() => {
        const error = new TesseraError("NODE_TIMEOUT", `no result within ${timeoutMs} ms`, { path: this.path });
        if (this.run.events) this.run.emit({ type: "node-error", path: this.path, error, attempt });
        this.failed(attempt, error);
      }, timeoutMs);
      scope.cleanup = () => clearTimeout(timer);
    }
    this.body(this.run, scope, this.path, this.input, this, attempt, this.held?.feed ?? this.feed);
  }

  /** False for the echo of an attempt that is over. */
  private finish(attempt: number): boolean {
    return !this.outer.over && attempt === this.attempt && !this.scope?.over;
  }

  ended(attempt: number, output: Row): void {
    if (!this.finish(attempt)) return;
    this.scope!.end();
    this.held?.open();
    this.owner.ended(this.key, output);
  }

  failed(attempt: number, error: TesseraError): void {
    if (!this.finish(attempt)) return;
    this.scope!.cancel(error);
    this.held?.close();
    const { retry, onError } = this.policy;
    if (attempt < (retry?.attempts ?? 1)) {
      const pause = (retry?.backoffMs ?? 0) * 2 ** (attempt - 1);
      const waiting = new Scope(this.outer);
      const timer = setTimeout(() => {
        waiting.end();
        this.begin();
      }, pause);
      waiting.cleanup = () => clearTimeout(timer);
    } else if (onError === "skip") this.leaveOut();
    else this.owner.failed(this.key, error);
    this.run.drain();
  }

  /** Tells the owner that the node is left out; where a journal is kept, once that is noted. */
  private leaveOut(): void {
    const { journal } = this.run;
    if (!journal) return this.owner.skipped(this.key);
    journal.skip(this.outer.place(this.path)).then(
      () => {
        if (!this.outer.over) this.owner.skipped(this.key);
      },
      (thrown) => {
        if (!this.outer.over) this.owner.failed(this.key, located(thrown, this.path));
      },
    );
  }

  skipped(attempt: number): void {
    if (!this.finish(attempt)) return;
    this.scope!.end();
    this.owner.skipped(this.key);
  }

  refused(attempt: number, reached?: Row): void {
    if (!this.finish(attempt)) return;
    this.scope!.end();
    this.held?.open();
    this.owner.refused(this.key, reached);
  }
}

/** A body under a policy. */
export const beginAttempts =
  (policy: Policy, body: Begin): Begin =>
  (run, scope, path, input, owner, key, feed) =>
    new Attempts(policy, body, run, scope, path, input, owner, key, feed).begin();
