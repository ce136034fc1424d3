import { type Passage, TesseraError } from "@tessera/core";
// A circle of types: `updateCodebase` tells of changes, and collecting them is a part of it.
import type { Change } from "./codebase.js";

const words = ({ text, title, source }: Passage): string => JSON.stringify([text, title, source?.path, source?.symbol]);

/** Collects the changes of many files. */
export class Changes implements Change {
  readonly added: Passage[] = [];
  readonly changed: Passage[] = [];
  readonly moved: Passage[] = [];
  readonly removed: string[] = [];

  get isEmpty(): boolean {
    return this.added.length + this.changed.length + this.moved.length + this.removed.length === 0;
  }

  /** @throws TesseraError BAD_ARGUMENT where two passages have the same id. */
  add(before: readonly Passage[], after: readonly Passage[]): void {
    const known = new Map(before.map((passage) => [passage.id, passage]));
    const ids = new Set<string>();
    for (const passage of after) {
      const { id } = passage;
      if (ids.has(id)) throw new TesseraError("BAD_ARGUMENT", "the chunker gave two passages one id", { path: id });
      ids.add(id);
      const old = known.get(id);
      if (!old) this.added.push(passage);
      else if (words(old) !== words(passage)) this.changed.push(passage);
      else if (JSON.stringify(old) !== JSON.stringify(passage)) this.moved.push(passage);
    }
    for (const id of known.keys()) if (!ids.has(id)) this.removed.push(id);
  }
}
