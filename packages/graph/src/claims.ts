import { type Records, TesseraError } from "@tessera/core";

/** The runs that this process works on, by the records that keep them; a promise where what a run left is still written. */
const working = new WeakMap<Pick<Records, "journal">, Map<string, Promise<unknown> | "running">>();

/**
 * Claims a run for whoever is about to work on it, once what its last life still writes is written.
 * @returns lets go of it, when `quiet` has resolved
 * @throws TesseraError CONFLICT where it is under way in this process
 */
export async function claimed(records: Records, id: string): Promise<(quiet: Promise<unknown>) => void> {
  const runs = working.get(records) ?? new Map<string, Promise<unknown> | "running">();
  working.set(records, runs);
  for (let before = runs.get(id); before; before = runs.get(id)) {
    if (before === "running")
      throw new TesseraError("CONFLICT", `run "${id}" is under way`, {
        path: id,
        hint: "wait for its end, or abort it",
      });
    await before;
  }
  runs.set(id, "running");
  return (quiet) => {
    const written = quiet.then(() => {
      if (runs.get(id) === written) runs.delete(id);
    });
    runs.set(id, written);
  };
}
