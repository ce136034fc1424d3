/** The best `top` of what is offered: by falling score, ties by rising id. A binary heap with the worst at the root. */
export class TopHeap {
  readonly #slots: number[] = [];
  readonly #scores: number[] = [];

  constructor(
    readonly top: number,
    readonly id: (slot: number) => string,
  ) {}

  /** What a score must reach to be taken; at the bound itself the id decides. */
  get threshold(): number {
    return this.#slots.length < this.top ? Number.NEGATIVE_INFINITY : (this.#scores[0] ?? Number.POSITIVE_INFINITY);
  }

  offer(slot: number, score: number): void {
    if (this.#slots.length < this.top) {
      this.#slots.push(slot);
      this.#scores.push(score);
      this.#rise(this.#slots.length - 1);
    } else if (this.top > 0 && this.#worse(this.#slots[0]!, this.#scores[0]!, slot, score)) {
      this.#slots[0] = slot;
      this.#scores[0] = score;
      this.#sink();
    }
  }

  ranked(): { slot: number; score: number }[] {
    return this.#slots
      .map((slot, i) => ({ slot, score: this.#scores[i]! }))
      .sort((a, b) => (this.#worse(a.slot, a.score, b.slot, b.score) ? 1 : -1));
  }

  #worse(slot: number, score: number, other: number, otherScore: number): boolean {
    return score < otherScore || (score === otherScore && this.id(slot) > this.id(other));
  }

  #worseAt(i: number, j: number): boolean {
    return this.#worse(this.#slots[i]!, this.#scores[i]!, this.#slots[j]!, this.#scores[j]!);
  }

  #swap(i: number, j: number): void {
    [this.#slots[i], this.#slots[j]] = [this.#slots[j]!, this.#slots[i]!];
    [this.#scores[i], this.#scores[j]] = [this.#scores[j]!, this.#scores[i]!];
  }

  #rise(i: number): void {
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!this.#worseAt(i, parent)) return;
      this.#swap(i, parent);
      i = parent;
    }
  }

  #sink(): void {
    for (let i = 0; ; ) {
      const left = 2 * i + 1;
      if (left >= this.#slots.length) return;
      const child = left + 1 < this.#slots.length && this.#worseAt(left + 1, left) ? left + 1 : left;
      if (!this.#worseAt(child, i)) return;
      this.#swap(child, i);
      i = child;
    }
  }
}
