import type { WaitNote, WaitNotes, WaitQuery } from "@tessera/core/internal";

/** When runs are due, in order: a heap whose entries may be out of date, which are thrown away when they come to the top. */
export class DueQueue {
  private readonly heap: { readonly at: number; readonly run: string }[] = [];

  /** @param dueOf when a run is due now */
  constructor(private readonly dueOf: (run: string) => number | undefined) {}

  add(run: string, at: number): void {
    const { heap } = this;
    let place = heap.push({ at, run }) - 1;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (heap[above]!.at <= heap[place]!.at) break;
      [heap[above], heap[place]] = [heap[place]!, heap[above]!];
      place = above;
    }
  }

  private take(): void {
    const { heap } = this;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    heap[0] = last;
    for (let place = 0; ; ) {
      let least = place;
      for (const below of [2 * place + 1, 2 * place + 2])
        if (below < heap.length && heap[below]!.at < heap[least]!.at) least = below;
      if (least === place) return;
      [heap[least], heap[place]] = [heap[place]!, heap[least]!];
      place = least;
    }
  }

  /** The first one that is true still. */
  next(): { readonly at: number; readonly run: string } | undefined {
    for (let first = this.heap[0]; first; first = this.heap[0]) {
      if (this.dueOf(first.run) === first.at) return first;
      this.take();
    }
    return undefined;
  }

  /** Those that are due at a moment. They stay. */
  due(at: number, limit: number): string[] {
    const found: { readonly at: number; readonly run: string }[] = [];
    for (let first = this.next(); first && first.at <= at && found.length < limit; first = this.next()) {
      found.push(first);
      this.take();
    }
    for (const one of found) this.add(one.run, one.at);
    return [...new Set(found.map(({ run }) => run))];
  }
}

export const fits = (note: Pick<WaitNote, "flow" | "principal">, { flow, principal }: WaitQuery): boolean =>
  (flow === undefined || note.flow === flow) && (principal === undefined || note.principal === principal);

/** Notes of runs that wait, in memory. */
export function memoryNotes(): WaitNotes & { forget(run: string): void } {
  const notes = new Map<string, WaitNote>();
  const queue = new DueQueue((run) => notes.get(run)?.due);
  return {
    async note(note) {
      notes.set(note.run, note);
      if (note.due) queue.add(note.run, note.due);
    },
    async remove(run) {
      notes.delete(run);
    },
    forget: (run) => void notes.delete(run),
    async get(run) {
      return notes.get(run);
    },
    async list(query) {
      return [...notes.values()]
        .filter((note) => fits(note, query))
        .sort((a, b) => a.since - b.since)
        .slice(0, query.limit);
    },
    async due(at, limit) {
      return queue.due(at, limit);
    },
    async next() {
      return queue.next()?.at;
    },
    async left() {
      return [...notes.values()].filter(({ due }) => due === 0).map(({ run }) => run);
    },
  };
}
