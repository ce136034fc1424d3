// internal: DeferredSettings, Deferred, abortable
import { onAbort } from "./on-abort.js";

export interface DeferredSettings {
  /** Called once, just before the promise is settled. */
  ended?(): void;
  /** Its abort rejects the promise with what `aborted` makes of the reason; by default with the reason. */
  readonly signal?: AbortSignal | undefined;
  aborted?(reason: unknown): unknown;
}

/** A promise that is settled from outside: by a value, an error or an abort. The first counts, the rest is ignored. */
export class Deferred<Value> {
  readonly promise: Promise<Value>;
  private fulfil!: (value: Value) => void;
  private refuse!: (error: unknown) => void;
  private forget = (): void => {};
  private settled = false;

  constructor(private readonly settings: DeferredSettings = {}) {
    this.promise = new Promise((resolve, reject) => {
      this.fulfil = resolve;
      this.refuse = reject;
    });
    const { signal } = settings;
    if (signal) this.forget = onAbort(signal, (reason) => this.reject(settings.aborted?.(reason) ?? reason));
  }

  resolve(value: Value): void {
    if (this.end()) this.fulfil(value);
  }

  reject(error: unknown): void {
    if (this.end()) this.refuse(error);
  }

  private end(): boolean {
    if (this.settled) return false;
    this.settled = true;
    this.forget();
    this.settings.ended?.();
    return true;
  }
}

/** Settles as the promise does, or at once when the signal aborts: for work that takes no signal, and goes on unseen. */
export function abortable<Value>(promise: Promise<Value>, settings: Omit<DeferredSettings, "ended">): Promise<Value> {
  const deferred = new Deferred<Value>(settings);
  promise.then(
    (value) => deferred.resolve(value),
    (error) => deferred.reject(error),
  );
  return deferred.promise;
}
