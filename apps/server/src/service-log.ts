// internal
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import { KeyedLog, type LogFiles, warn } from "@tessera/core/internal";
import type { RunEvent, RunState } from "@tessera/graph/internal";
import { LocalBudgets } from "./local-budgets.js";
import { RunLog } from "./run-log.js";

interface ServiceLogOptions {
  /** Throws where the folder is no longer ours. */
  readonly assertHeld?: () => void;
  /** The bytes that the log may take on disk; sets the size of its files. */
  readonly bytes?: number | undefined;
  readonly files?: LogFiles | undefined;
}

/** What a service on a folder writes: one log, whose writers share each sync. */
export interface ServiceLog {
  readonly log: KeyedLog;
  readonly runs: RunLog;
  readonly budgets: LocalBudgets;
}

/**
 * Opens the log in `<folder>/log`. Runs and budgets that a service of the first layout left in the folder are brought into
 * it.
 * @throws TesseraError RECORD_CORRUPT with the path of the file.
 */
export async function openServiceLog(folder: string, options: ServiceLogOptions = {}): Promise<ServiceLog> {
  const { bytes = 2 ** 31, assertHeld, files } = options;
  const runs = new RunLog();
  const budgets = new LocalBudgets();
  const place = join(folder, "log");
  const log = await KeyedLog.open({
    folder: place,
    beforeWrite: assertHeld,
    files,
    segmentBytes: Math.min(32 << 20, Math.max(1 << 20, Math.floor(bytes / 16))),
    onOpen: (key, value) => {
      runs.replay(key, value);
      budgets.replay(key, value);
    },
  }).catch((thrown) => {
    throw damaged(thrown, place);
  });
  if (log.dropped > 0)
    process.emitWarning(`an unconfirmed end of the log was dropped (${log.dropped} bytes)`, "TesseraWarning");
  const opened = { log, runs: runs.writeTo(log), budgets: budgets.writeTo(log) };
  try {
    await importRuns(join(folder, "runs"), opened.runs);
    await importBudgets(join(folder, "budgets.json"), log, budgets);
  } catch (error) {
    await log.close();
    throw error;
  }
  return opened;
}

/** What is to be done about a log that is damaged, and what is lost by it. */
function damaged(thrown: unknown, place: string): unknown {
  if (!TesseraError.is(thrown) || thrown.code !== "RECORD_CORRUPT") return thrown;
  return new TesseraError("RECORD_CORRUPT", thrown.message, {
    path: thrown.path,
    cause: thrown,
    hint:
      `restore ${place} from a backup; or call \`tessera serve --repair\`, which lists what is lost, and with ` +
      "`--drop-damaged` keeps the rest; or move it away: runs, their records and what keys have spent today are lost then",
  });
}

/** Brings the runs of the first layout in: `<id>.json` is a state, `<id>.events` a line of JSON for each event. */
async function importRuns(folder: string, runs: RunLog): Promise<void> {
  const names = await readdir(folder).catch(() => undefined);
  if (!names) return;
  let damaged = false;
  for (const name of names) {
    if (!name.endsWith(".json")) continue;
    const id = name.slice(0, -".json".length);
    try {
      const state = JSON.parse(await readFile(join(folder, name), "utf8")) as RunState;
      if (!runs.summaries.has(id)) await runs.save(state, { lines: await oldEvents(folder, id), texts: new Map() });
      await rm(join(folder, `${id}.events`), { force: true });
      await rm(join(folder, name));
    } catch (error) {
      if (TesseraError.is(error)) throw error;
      damaged = true;
      warn(`the run ${name} is left out`, error);
    }
  }
  if (!damaged) await rm(folder, { recursive: true });
}

/** A line that a kill cut short does not count. */
async function oldEvents(folder: string, id: string): Promise<string[]> {
  const text = await readFile(join(folder, `${id}.events`), "utf8").catch(() => "");
  return text.split("\n").filter((line) => {
    try {
      return (JSON.parse(line) as RunEvent).sequence > 0;
    } catch {
      return false;
    }
  });
}

interface OldBudgets {
  readonly day: string;
  readonly spent: Readonly<Record<string, { calls: number; tokens: number }>>;
  readonly reserved: Readonly<Record<string, object>>;
}

async function importBudgets(path: string, log: KeyedLog, budgets: LocalBudgets): Promise<void> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return;
  let old: OldBudgets;
  try {
    old = JSON.parse(text) as OldBudgets;
  } catch (cause) {
    const hint = "remove the file: every key has its whole day again";
    throw new TesseraError("RECORD_CORRUPT", "the budgets are damaged", { path, cause, hint });
  }
  const entries: [string, object][] = [
    ...Object.entries(old.spent).map(([name, spent]): [string, object] => [
      `spent/${name}`,
      { ...spent, day: old.day },
    ]),
    ...Object.entries(old.reserved).map(([run, one]): [string, object] => [`reserved/${run}`, one]),
  ];
  const changes = entries.map(([put, value]) => ({ put, value: Buffer.from(JSON.stringify(value)) }));
  if (changes.length > 0) await log.commit(changes);
  for (const { put, value } of changes) budgets.replay(put, value);
  await rm(path);
}
