// internal
import type { Records } from "@tessera/core";

/** Records that ask before every write whether the folder is still theirs. */
export function heldRecords(records: Records, assertHeld: () => Promise<void>): Records {
  const held =
    <T extends unknown[]>(write: (...given: T) => Promise<void>) =>
    async (...given: T): Promise<void> => {
      await assertHeld();
      await write(...given);
    };
  return {
    ...records,
    put: held(records.put),
    begin: held(records.begin),
    append: held(records.append),
    forget: held(records.forget),
    ...(records.commit && { commit: held(records.commit) }),
  };
}
