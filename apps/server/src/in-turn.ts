// internal

/** Works of one name, one after another: a name that has none takes no memory. */
export class InTurn {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Does a work once those of the same name that were given before have ended, well or not. */
  do<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name) ?? Promise.resolve();
    const next = before.catch(() => {}).then(work);
    this.#last.set(name, next);
    const forget = () => void (this.#last.get(name) === next && this.#last.delete(name));
    next.then(forget, forget);
    return next;
  }
}
