// public: diskRecords
import { mkdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { type Records, TesseraError } from "@tessera/core";
import { KeyedLog, type ThreadStore, type WaitNotes, WriterLock } from "@tessera/core/internal";
import { methodsOfThreads, methodsOfWaits } from "../foreign.js";

/** A folder of records that this process writes. */
interface Opened {
  readonly records: Records;
  readonly log: KeyedLog;
  readonly lock: WriterLock;
}

/** The folders that are open in this process, and by how many. */
const shared = new Map<string, { users: number; readonly opening: Promise<Opened> }>();

/** The records in a log. Their files are loaded with the first folder, so that whoever keeps no records starts faster. */
async function recordsIn(log: KeyedLog, folder: string): Promise<Records> {
  const [{ LegacyFolder }, { logRecords }] = await Promise.all([import("./legacy.js"), import("./log.js")]);
  return logRecords(log, { legacy: new LegacyFolder(folder) });
}

async function openFolder(folder: string): Promise<Opened> {
  const lock = await WriterLock.acquire(folder);
  try {
    const log = await KeyedLog.open({ folder: join(folder, "log"), beforeWrite: () => lock.assertHeld() });
    return { lock, log, records: await recordsIn(log, folder) };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

const reads = ["get", "run", "journal", "texts"] as const;

/** Reads what another process writes, as it stands now. */
async function readOnly<T>(folder: string, read: (records: Records) => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    let log: KeyedLog | undefined;
    try {
      log = await KeyedLog.open({ folder: join(folder, "log"), readOnly: true });
      return await read(await recordsIn(log, folder));
    } catch (error) {
      // a file may have been compacted away meanwhile
      if (attempt === 3) throw error;
    } finally {
      await log?.close();
    }
  }
}

/** Works with the records; of what another process writes it reads alone. */
type Through = (work: (records: Records) => Promise<unknown>, isRead: boolean) => Promise<unknown>;

/** A part of the records whose folder is opened by the first call. */
const partThrough = <T>(
  methods: readonly (keyof T & string)[],
  reads: ReadonlySet<string>,
  through: Through,
  partOf: (records: Records) => T,
): T =>
  Object.fromEntries(
    methods.map((name) => [
      name,
      (...given: unknown[]) =>
        through((records) => {
          const part = partOf(records) as Record<string, (...given: unknown[]) => Promise<unknown>>;
          return part[name]!(...given);
        }, reads.has(name)),
    ]),
  ) as T;

const readsOfThreads: ReadonlySet<string> = new Set(["get", "turns", "list", "count"] satisfies (keyof ThreadStore)[]);
const readsOfWaits: ReadonlySet<string> = new Set(["get", "list", "due", "next", "left"] satisfies (keyof WaitNotes)[]);

/**
 * Records in a folder, in a log that survives crashes. Only one process may write a folder at a time; others may read
 * it, and get INDEX_LOCKED if they write. Runs in the first layout of the folder are converted when they are asked for.
 */
export function diskRecords(folder: string): Records {
  let own: { readonly path: string; readonly opening: Promise<Opened> } | undefined;

  const opened = async (): Promise<Opened> => {
    if (own) return own.opening;
    await mkdir(folder, { recursive: true });
    const path = await realpath(folder);
    if (!own) {
      const known = shared.get(path);
      const opening = known?.opening ?? openFolder(path);
      if (known) known.users++;
      else shared.set(path, { users: 1, opening });
      own = { path, opening };
      opening.catch(() => {
        shared.delete(path);
        own = undefined;
      });
    }
    return own.opening;
  };

  /** Calls the records; of what another process writes it reads alone. */
  const through: Through = async (work, isRead) => {
    try {
      return await work((await opened()).records);
    } catch (error) {
      if (isRead && TesseraError.is(error) && error.code === "INDEX_LOCKED") return readOnly(folder, work);
      throw error;
    }
  };
  const call =
    <K extends Exclude<keyof Records, "close">>(name: K) =>
    (...given: unknown[]): Promise<unknown> =>
      through(
        (records) => (records[name] as (...given: unknown[]) => Promise<unknown>)(...given),
        (reads as readonly string[]).includes(name),
      );

  return {
    threads: partThrough<ThreadStore>(methodsOfThreads, readsOfThreads, through, ({ threads }) => threads!),
    waits: partThrough<WaitNotes>(methodsOfWaits, readsOfWaits, through, ({ waits }) => waits!),
    get: call("get") as Records["get"],
    put: call("put") as Records["put"],
    begin: call("begin") as Records["begin"],
    run: call("run") as Records["run"],
    commit: call("commit") as Records["commit"],
    charge: call("charge") as Records["charge"],
    journal: call("journal") as Records["journal"],
    texts: call("texts") as Records["texts"],
    forget: call("forget") as Records["forget"],
    async close() {
      if (!own) return;
      const { path, opening } = own;
      own = undefined;
      const one = shared.get(path);
      if (!one || --one.users > 0) return;
      shared.delete(path);
      const { log, lock } = await opening;
      await log.close();
      await lock.release();
    },
  };
}
