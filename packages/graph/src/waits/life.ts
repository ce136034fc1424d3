import type { JournalEntry } from "@tessera/core/internal";
import type { RunResult } from "../run.js";

/** One life of a run that may wait: from its claim until nothing of it is written any more. What comes meanwhile reaches it here. */
export class Life {
  private came: JournalEntry[] = [];
  private hear: ((entry: JournalEntry) => void) | undefined;
  /** Whether it has come to its end, or to rest: what comes now is for the next life. */
  over = false;
  /** Says what it comes to. */
  comesTo!: (result: Promise<RunResult<unknown>>) => void;
  readonly result = new Promise<RunResult<unknown>>((resolve) => {
    this.comesTo = resolve;
  });
  release!: () => void;
  /** Resolves when another life may begin. */
  readonly released = new Promise<void>((resolve) => {
    this.release = resolve;
  });

  constructor() {
    this.result.catch(() => {}); // whoever began it hears of its failure
  }

  /** Brings an entry that stands in the journal. @returns false where the life is over and another has to begin */
  bring(entry: JournalEntry): boolean {
    if (this.over) return false;
    if (this.hear) this.hear(entry);
    else this.came.push(entry);
    return true;
  }

  /** Hears what comes, and what has come already. */
  listen(hear: (entry: JournalEntry) => void): void {
    this.hear = hear;
    const { came } = this;
    this.came = [];
    for (const entry of came) hear(entry);
  }
}
