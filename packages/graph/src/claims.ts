import { type Records, TesseraError } from "@tessera/core";
import { SlotMap } from "@tessera/core/internal";
import { Life } from "./waits/life.js";

/** The runs that this process works on, by the records that keep them; a promise where what a run left is still written. */
const working = new WeakMap<Pick<Records, "journal">, SlotMap<Promise<unknown> | "running" | Life>>();

const claimsOf = (records: Pick<Records, "journal">) => {
  let runs = working.get(records);
  if (!runs) {
    runs = new SlotMap();
    working.set(records, runs);
  }
  return runs;
};

/** As `claimed`, where nobody works on the run, and nothing of its last life is being written; else `undefined`. */
export function claimedNow(records: Records, id: string, life?: Life): Release | undefined {
  const runs = claimsOf(records);
  if (runs.has(id)) return undefined;
  runs.set(id, life ?? "running");
  return (quiet) => {
    if (!quiet) {
      runs.delete(id);
      life?.release();
      return;
    }
    const written = quiet.then(() => {
      if (runs.get(id) === written) runs.delete(id);
    });
    runs.set(id, written);
    life?.release();
  };
}

/** Lets go of a run: at once, or when `quiet` has resolved. */
export type Release = (quiet?: Promise<unknown>) => void;

/**
 * Claims a run for whoever is about to work on it, once what its last life still writes is written.
 * @throws TesseraError CONFLICT where it is under way in this process
 */
export async function claimed(records: Records, id: string, life?: Life): Promise<Release> {
  const runs = claimsOf(records);
  for (let before = runs.get(id); before; before = runs.get(id)) {
    if (before === "running" || (before instanceof Life && !before.over))
      throw new TesseraError("CONFLICT", `run "${id}" is under way`, {
        path: id,
        hint: "wait for its end, or abort it",
      });
    await (before instanceof Life ? before.released : before);
  }
  return claimedNow(records, id, life)!;
}

/** The life of a run that this process works on, if it may wait. */
export function lifeOf(records: Pick<Records, "journal">, id: string): Life | undefined {
  const found = claimsOf(records).get(id);
  return found instanceof Life ? found : undefined;
}
