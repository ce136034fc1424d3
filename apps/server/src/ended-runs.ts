/** Runs that have ended and are kept in memory, with the bytes that they hold: the first one in is the first one out. */
export class EndedRuns {
  #ids: string[] = [];
  #sizes: number[] = [];
  #head = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** Those that ended first in front. */
  get ids(): readonly string[] {
    return this.#ids.slice(this.#head);
  }

  add(id: string, bytes: number): void {
    this.#ids.push(id);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
  }

  /** Takes out the one that ended first. */
  takeFirst(): string | undefined {
    if (this.#head === this.#ids.length) return undefined;
    this.#bytes -= this.#sizes[this.#head]!;
    const id = this.#ids[this.#head++]!;
    if (this.#head >= 256) {
      this.#ids = this.#ids.slice(this.#head);
      this.#sizes = this.#sizes.slice(this.#head);
      this.#head = 0;
    }
    return id;
  }

  /** Takes out one of them, which takes as long as there are many. */
  remove(id: string): void {
    const at = this.#ids.indexOf(id, this.#head);
    if (at < 0) return;
    this.#bytes -= this.#sizes[at]!;
    this.#ids.splice(at, 1);
    this.#sizes.splice(at, 1);
  }
}
