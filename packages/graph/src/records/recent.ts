/** The bytes that texts of a cache may take by default. */
export const cacheBytes = 256 << 20;

/** Keys of a cache with the bytes of their texts, the least recently used first. */
export class Recent {
  readonly #bytes = new Map<string, number>();
  #sum = 0;

  constructor(private readonly limit: number) {}

  /** Notes a text. @returns the keys of those that have to go, so that the rest keeps the limit; the new one stays. */
  add(key: string, bytes: number): string[] {
    this.#remove(key);
    this.#bytes.set(key, bytes);
    this.#sum += bytes;
    const gone: string[] = [];
    for (const oldest of this.#bytes.keys()) {
      if (this.#sum <= this.limit || oldest === key) break;
      this.#remove(oldest);
      gone.push(oldest);
    }
    return gone;
  }

  /** Notes that a text was asked for. */
  use(key: string): void {
    const bytes = this.#bytes.get(key);
    if (bytes === undefined) return;
    this.#bytes.delete(key);
    this.#bytes.set(key, bytes);
  }

  #remove(key: string): void {
    this.#sum -= this.#bytes.get(key) ?? 0;
    this.#bytes.delete(key);
  }
}
