// internal

/** Works of one name, one after another: a name that has none takes no memory. */
export class KeyedQueue {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Whether a work of a name is under way or waits. */
  has(name: string): boolean {
    return this.#last.has(name);
  }

  /** Does a work once those of the same name that were given before have ended, well or not. */
  do<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name);
    const next = before ? before.catch(() => {}).then(work) : work();
    this.#last.set(name, next);
    const forget = () => void (this.#last.get(name) === next && this.#last.delete(name));
    next.then(forget, forget);
    return next;
  }
}
