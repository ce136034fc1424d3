import type { FairShares } from "./fair-shares.js";

/** Work that waits: first come, first served for one caller, by fair shares between callers. */
export class FairQueue<T extends { readonly caller: string; readonly arrival: number }> {
  private readonly lines = new Map<string, T[]>();
  private count = 0;

  constructor(private readonly shares: FairShares) {}

  get size(): number {
    return this.count;
  }

  push(item: T): void {
    const line = this.lines.get(item.caller);
    if (line) line.push(item);
    else this.lines.set(item.caller, [item]);
    this.count += 1;
  }

  /** The next piece of work; of callers with equal shares the one who waits longest. */
  head(): T | undefined {
    let next: T | undefined;
    let least = 0;
    for (const [caller, line] of this.lines) {
      const tag = this.shares.tag(caller);
      if (next === undefined || tag < least || (tag === least && line[0]!.arrival < next.arrival)) {
        next = line[0]!;
        least = tag;
      }
    }
    return next;
  }

  /** Takes a piece of work out, wherever it stands. */
  remove(item: T): boolean {
    const line = this.lines.get(item.caller);
    const at = line?.indexOf(item) ?? -1;
    if (line === undefined || at < 0) return false;
    line.splice(at, 1);
    if (line.length === 0) this.lines.delete(item.caller);
    this.count -= 1;
    return true;
  }

  /** The first of each caller. */
  *heads(): Generator<T> {
    for (const line of this.lines.values()) yield line[0]!;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const line of this.lines.values()) yield* line;
  }
}
