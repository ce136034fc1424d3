// internal
/** What a run, or one attempt within it, can be ended by. Its controller is made only for who asks for the signal. */
export class Scope {
  over = false;
  private controller: AbortController | undefined;
  private reason: unknown;
  private children: Set<Scope> | undefined;
  /** Called once, when it ends in whatever way. */
  cleanup: (() => void) | undefined;

  constructor(
    private readonly parent?: Scope,
    /** Which attempt of a node this is, from 1. */
    readonly attempt = 1,
  ) {
    if (!parent) return;
    if (parent.over) this.cancel(parent.reason);
    else {
      parent.children ??= new Set();
      parent.children.add(this);
    }
  }

  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController();
      if (this.reason !== undefined) this.controller.abort(this.reason);
    }
    return this.controller.signal;
  }

  /** Ends it, and tells who listens; what is still on its way is ignored from now on. */
  cancel(reason: unknown): void {
    if (this.over) return;
    this.end();
    this.reason = reason;
    this.controller?.abort(reason);
    for (const child of this.children ?? []) child.cancel(reason);
  }

  /** Ends it without a reason to stop anything: it is finished. */
  end(): void {
    this.over = true;
    this.cleanup?.();
    this.parent?.children?.delete(this);
  }
}
