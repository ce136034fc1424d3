import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type LogRepair, repairLog, WriterLock } from "@tessera/core/internal";

/** What was found in one of the logs of a service. */
export interface FolderRepair extends LogRepair {
  /** The folder of the log. */
  readonly log: string;
}

/**
 * Looks at every log in the folder of a service (runs, records and budgets in one, each index in one) past what is damaged.
 * Where `drop` is set, what is whole takes the place of a damaged log, which is moved beside it; else nothing is changed.
 * A run whose end was lost is there as one that was interrupted; a step whose entry was lost runs again when its run is
 * resumed.
 * @returns the logs that are damaged
 * @throws TesseraError INDEX_LOCKED where a service holds the folder
 */
export async function repairFolder(folder: string, { drop }: { readonly drop: boolean }): Promise<FolderRepair[]> {
  const lock = await WriterLock.acquire(folder);
  try {
    const indexes = await readdir(join(folder, "indexes"), { withFileTypes: true }).catch(() => []);
    const logs = [
      join(folder, "log"),
      ...indexes
        .filter((one) => one.isDirectory() && !one.name.includes("."))
        .map(({ name }) => join(folder, "indexes", name)),
    ];
    const found: FolderRepair[] = [];
    for (const log of logs) {
      if ((await readdir(log).catch(() => [])).length === 0) continue;
      const repair = await repairLog(log, { drop });
      if (repair.damages.length > 0 || repair.dropped.length > 0) found.push({ log, ...repair });
    }
    return found;
  } finally {
    await lock.release();
  }
}
