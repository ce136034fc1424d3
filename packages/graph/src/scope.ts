/** What has to be settled when a scope ends before it. */
interface Abandonable {
  abandon(): void;
}

/** What a run, or one attempt within it, can be ended by. Its controller is made only for who asks for the signal. */
export class Scope {
  over = false;
  private controller: AbortController | undefined;
  private reason: unknown;
  private children: Set<Scope> | undefined;
  private unsettled: Set<Abandonable> | undefined;
  /** Called once, when it ends in whatever way. */
  cleanup: (() => void) | undefined;

  constructor(
    private readonly parent?: Scope,
    /** Which attempt of a node this is, from 1. */
    readonly attempt = 1,
    /** The path of the node that is attempted. */
    readonly path?: string,
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

  /**
   * What a journal knows an activation by: its path, where each composed node that is in a later attempt is marked with its
   * number ("ask/inner!2/a"). What one attempt has finished is not what the next one begins.
   */
  place(path: string): string {
    let place = path;
    for (let scope: Scope | undefined = this; scope; scope = scope.parent)
      if (scope.attempt > 1 && scope.path !== undefined && scope.path !== path)
        place = `${place.slice(0, scope.path.length)}!${scope.attempt}${place.slice(scope.path.length)}`;
    return place;
  }

  /** Notes what is abandoned when the scope ends, unless it is settled before. */
  open(one: Abandonable): void {
    this.unsettled ??= new Set();
    this.unsettled.add(one);
  }

  settled(one: Abandonable): void {
    this.unsettled?.delete(one);
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
    if (this.unsettled) for (const one of this.unsettled) one.abandon();
  }
}
