// internal: Slots, SlotMap

/**
 * Things under way, in places that are used again. A `Set` does the same, but where things come and go all the time it costs
 * a collector dearly: a table that a `Set` or a `Map` of V8 has outgrown refers to the one after it and still holds what
 * was in it, so that what has long been deleted survives every collection of young objects until a full one.
 */
export class Slots<T> {
  readonly #items: (T | undefined)[] = [];
  readonly #free: number[] = [];

  /** How many there are. */
  get size(): number {
    return this.#items.length - this.#free.length;
  }

  /** @returns the place, for `remove` */
  add(item: T): number {
    const slot = this.#free.pop() ?? this.#items.length;
    this.#items[slot] = item;
    return slot;
  }

  at(slot: number): T | undefined {
    return this.#items[slot];
  }

  set(slot: number, item: T): void {
    this.#items[slot] = item;
  }

  /** Once for each `add`. */
  remove(slot: number): void {
    this.#items[slot] = undefined;
    this.#free.push(slot);
  }

  /** In no order. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (const item of this.#items) if (item !== undefined) yield item;
  }
}

/** As a `Map` with texts as keys, for values that come and go all the time: see `Slots`. Iterates in the order of insertion. */
export class SlotMap<V> {
  readonly #slots = new Map<string, number>();
  readonly #values = new Slots<V>();

  get size(): number {
    return this.#slots.size;
  }

  has(key: string): boolean {
    return this.#slots.has(key);
  }

  get(key: string): V | undefined {
    const slot = this.#slots.get(key);
    return slot === undefined ? undefined : this.#values.at(slot);
  }

  set(key: string, value: V): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) this.#slots.set(key, this.#values.add(value));
    else this.#values.set(slot, value);
  }

  delete(key: string): boolean {
    const slot = this.#slots.get(key);
    if (slot === undefined) return false;
    this.#values.remove(slot);
    return this.#slots.delete(key);
  }

  keys(): IterableIterator<string> {
    return this.#slots.keys();
  }

  *values(): IterableIterator<V> {
    for (const slot of this.#slots.values()) yield this.#values.at(slot)!;
  }

  *[Symbol.iterator](): IterableIterator<[string, V]> {
    for (const [key, slot] of this.#slots) yield [key, this.#values.at(slot)!];
  }
}
