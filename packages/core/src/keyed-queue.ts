// internal: KeyedQueue

/** Executes work of the same name one after another. A name without work takes no memory. */
export class KeyedQueue {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Whether work of this name is under way or waits. */
  has(name: string): boolean {
    return this.#last.has(name);
  }

  /** Executes the work after all earlier work of the same name has ended, with or without an error. */
  do<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name);
    const next = before ? before.catch(() => {}).then(work) : work();
    this.#last.set(name, next);
    const forget = () => void (this.#last.get(name) === next && this.#last.delete(name));
    next.then(forget, forget);
    return next;
  }
}
