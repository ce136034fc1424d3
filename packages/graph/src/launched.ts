import type { Spent } from "@tessera/core";
import type { Run, RunResult } from "./run.js";
import type { LaunchedRun } from "./run-options.js";

export const unspent: Spent = { steps: 0, calls: 0, tokens: 0, layers: 0, cost: 0 };

/**
 * A run under way, for who hears of it by calls. A class and no object literal: V8 makes a hidden class for each literal that
 * has a getter, in the memory of old objects, from where it keeps the whole run through every collection of young ones.
 */
export class Launched<O> implements LaunchedRun<O> {
  private run: Run | undefined;
  private aborted: { readonly reason: unknown } | undefined;
  result!: Promise<RunResult<O>>;

  constructor(
    readonly id: string,
    private readonly path: string,
  ) {}

  /** Takes the run itself, which ends at once where it was aborted before. */
  begun(run: Run): void {
    this.run = run;
    if (this.aborted) run.abort(this.path, this.aborted.reason);
  }

  get reached(): Promise<RunResult<O>> {
    return (this.run?.result as Promise<RunResult<O>> | undefined) ?? this.result;
  }

  get over(): boolean {
    return this.run?.scope.over ?? false;
  }

  spent(): Spent {
    return { ...(this.run?.ledger.spent ?? unspent) };
  }

  abort(reason: unknown): void {
    this.aborted ??= { reason };
    this.run?.abort(this.path, reason);
  }
}
