// internal
import type { Records } from "@tessera/core";

/** Records that ask before every write whether the folder is still theirs. */
export function heldRecords(records: Records, assertHeld: () => Promise<void>): Records {
  const held =
    <T extends unknown[], R>(write: (...given: T) => Promise<R>) =>
    async (...given: T): Promise<R> => {
      await assertHeld();
      return write(...given);
    };
  return {
    ...records,
    put: held(records.put),
    begin: held(records.begin),
    commit: held(records.commit),
    charge: held(records.charge),
    forget: held(records.forget),
  };
}
