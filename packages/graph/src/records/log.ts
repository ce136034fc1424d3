// internal: logRecords
import type { Records, RunRecord } from "@tessera/core";
import {
  type Charge,
  type DirectRecords,
  type JournalEntry,
  type KeyedChange,
  type KeyedLog,
  SlotMap,
  type Texts,
} from "@tessera/core/internal";
import { LogThreads } from "../threads/log-threads.js";
import { LogNotes } from "../waits/log-notes.js";
import { fromLegacy, type LegacyFolder } from "./legacy.js";
import { assertRunId, corrupt, hashesIn, stands, sumOf, taken, unknownRun } from "./pack.js";
import { cacheBytes, Recent } from "./recent.js";

/** A line of a run's journal. */
type Line = { readonly entry: JournalEntry } | { readonly attempt: string; readonly charge: Charge };

/** What stands at a path, and when it is written. */
interface Noted {
  readonly entry: JournalEntry;
  readonly written: Promise<void>;
}
type Journal = Map<string, Noted>;

const keptOpen = 64; // runs whose journals are in memory
const written = Promise.resolve();

/**
 * Records in a keyed log: "begun/<run>" is a run, "journal/<run>" a list of what is finished, "waiting/<run>/…" that it
 * waits, "cache/<key>" a text of the cache, "thread/…" and "turns/…" conversations; texts of values are blobs. What is written at the same time shares one sync.
 */
export function logRecords(log: KeyedLog, options: LogRecordsOptions = {}): Records {
  return new LogRecords(log, options);
}

interface LogRecordsOptions {
  /** Runs of the first layout, which are brought into the log when they are asked for. */
  readonly legacy?: LegacyFolder | undefined;
  /** The bytes that texts of the cache may take, 256 MiB; the least recently used go first. */
  readonly cacheBytes?: number | undefined;
}

class LogRecords implements Records {
  readonly #journals = new SlotMap<Journal | Promise<Journal>>();
  /** Runs that are being written for the first time. */
  readonly #beginning = new SlotMap<{ readonly run: RunRecord; readonly written: Promise<void> }>();
  readonly #importing = new Map<string, Promise<void>>();
  #oldIds: Promise<ReadonlySet<string>> | undefined;
  /** What `#oldIds` gave. */
  #oldKnown: ReadonlySet<string> | undefined;

  #recent: Recent | undefined;
  private readonly legacy: LegacyFolder | undefined;
  readonly waits: LogNotes;
  readonly threads: LogThreads;

  constructor(
    private readonly log: KeyedLog,
    private readonly options: LogRecordsOptions,
  ) {
    this.legacy = options.legacy;
    this.waits = new LogNotes(log);
    this.threads = new LogThreads(log);
  }

  async get(key: string): Promise<string | undefined> {
    this.#recent?.use(`cache/${key}`);
    return (await this.log.get(`cache/${key}`))?.toString();
  }

  async put(key: string, text: string): Promise<void> {
    const value = Buffer.from(text);
    const gone = this.#recent ? [] : this.#count();
    gone.push(...this.#recent!.add(`cache/${key}`, value.length));
    try {
      await this.log.commit([{ put: `cache/${key}`, value }, ...gone.map((key) => ({ delete: key }))]);
    } catch (error) {
      this.#recent = undefined; // what is there is counted again
      throw error;
    }
  }

  /** Counts what is in the cache, the oldest first. @returns what is too much */
  #count(): string[] {
    const recent = new Recent(this.options.cacheBytes ?? cacheBytes);
    this.#recent = recent;
    const keys = [...this.log.keys()].filter((key) => key.startsWith("cache/"));
    return keys.flatMap((key) => recent.add(key, this.log.bytesOf(key)));
  }

  async begin(run: RunRecord, texts: Texts): Promise<void> {
    const { id } = run;
    assertRunId(id);
    if (this.legacy && !this.log.has(`begun/${id}`) && (await this.#old()).has(id)) await this.#import(id);
    const other = this.#beginning.get(id);
    if (other) {
      if (other.run.claim !== run.claim) throw taken(id);
      return other.written;
    }
    if (this.log.has(`begun/${id}`)) {
      if ((await this.run(id))?.claim !== run.claim) throw taken(id);
      return;
    }
    return this.#begin(run, texts);
  }

  #begin(run: RunRecord, texts: Texts): Promise<void> {
    const { id } = run;
    const blobs = [...hashesIn(run.input), ...hashesIn(run.document)];
    const changes = [{ put: `begun/${id}`, value: JSON.stringify(run), blobs }];
    const beginning: { run: RunRecord; written: Promise<void> } = { run, written };
    this.#beginning.set(id, beginning);
    this.#open(id, new Map());
    beginning.written = new Promise((resolve, reject) => {
      this.log.enqueue(changes, only(texts, blobs), (error) => {
        this.#beginning.delete(id);
        if (error === undefined) resolve();
        else reject(error);
      });
    });
    return beginning.written;
  }

  readonly direct: DirectRecords = {
    begin: (run, texts) => {
      const { id } = run;
      assertRunId(id);
      if (this.legacy && !this.#oldKnown) void this.#old().catch(() => {}); // known from the next run on
      if (this.legacy && this.#oldKnown?.has(id) !== false) return undefined;
      return this.#beginning.has(id) || this.log.has(`begun/${id}`) ? undefined : this.#begin(run, texts);
    },
    commit: (run, entry, texts) => {
      const journal = this.#journals.get(run);
      if (!(journal instanceof Map)) return undefined;
      const before = journal.get(entry.path);
      return before && stands(before.entry, entry.operator) ? undefined : this.#note(run, journal, { entry, texts });
    },
  };

  async run(id: string): Promise<RunRecord | undefined> {
    assertRunId(id);
    await this.#beginning.get(id)?.written.catch(() => {});
    const value = await this.log.get(`begun/${id}`);
    if (value) return parsed<RunRecord>(value, id);
    if (!(await this.#import(id))) return undefined;
    return this.run(id);
  }

  async #old(): Promise<ReadonlySet<string>> {
    this.#oldIds ??= this.legacy!.ids();
    const ids = await this.#oldIds;
    this.#oldKnown = ids;
    return ids;
  }

  /** Brings a run of the first layout into the log; says whether there was one. */
  async #import(id: string): Promise<boolean> {
    const { legacy, log } = this;
    if (!legacy || !(await this.#old()).has(id)) return false;
    const importing = this.#importing.get(id);
    if (importing) {
      await importing;
      return log.has(`begun/${id}`);
    }
    const work = (async () => {
      const old = await legacy.read(id);
      if (!old) return;
      const { run, entries, texts } = fromLegacy(old);
      const changes: KeyedChange[] = entries.map((entry) => ({
        add: `journal/${id}`,
        value: JSON.stringify({ entry } satisfies Line),
        blobs: hashesIn(entry.output),
      }));
      await log.commit(
        [...changes, { put: `begun/${id}`, value: JSON.stringify(run), blobs: hashesIn(run.input) }],
        texts,
      );
    })();
    this.#importing.set(id, work);
    try {
      await work;
    } finally {
      this.#importing.delete(id);
    }
    return log.has(`begun/${id}`);
  }

  /** @throws TesseraError RECORD_MISSING where the run is not known. */
  #journal(id: string): Journal | Promise<Journal> {
    const known = this.#journals.get(id);
    if (known) return known;
    const reading = this.#readJournal(id);
    this.#journals.set(id, reading);
    reading.then(
      (journal) => this.#journals.get(id) === reading && this.#open(id, journal),
      () => this.#journals.delete(id),
    );
    return reading;
  }

  async #readJournal(id: string): Promise<Journal> {
    if (!(await this.run(id))) throw unknownRun(id);
    const journal: Journal = new Map();
    for (const line of await this.#lines(id)) if ("entry" in line) journal.set(line.entry.path, { ...line, written });
    return journal;
  }

  #open(id: string, journal: Journal): void {
    this.#journals.set(id, journal);
    if (this.#journals.size <= keptOpen) return;
    for (const [other, one] of this.#journals)
      if (one instanceof Map && other !== id && !this.#beginning.has(other)) {
        this.#journals.delete(other);
        return;
      }
  }

  async #lines(id: string): Promise<Line[]> {
    return (await this.log.list(`journal/${id}`)).map((value) => parsed<Line>(value, id));
  }

  async commit(run: string, entry: JournalEntry, texts: Texts): Promise<JournalEntry> {
    const known = this.#journal(run);
    const journal = known instanceof Map ? known : await known;
    const before = journal.get(entry.path);
    if (before && stands(before.entry, entry.operator)) {
      await before.written;
      return before.entry;
    }
    await this.#note(run, journal, { entry, texts });
    return entry;
  }

  #note(
    run: string,
    journal: Journal,
    { entry, texts }: { readonly entry: JournalEntry; readonly texts: Texts },
  ): Promise<void> {
    const blobs = hashesIn(entry.output);
    const changes = [{ add: `journal/${run}`, value: JSON.stringify({ entry } satisfies Line), blobs }];
    const written = new Promise<void>((resolve, reject) => {
      this.log.enqueue(changes, only(texts, blobs), (error) => {
        if (error === undefined) return resolve();
        this.#journals.delete(run); // what stands is read again
        reject(error);
      });
    });
    journal.set(entry.path, { entry, written });
    return written;
  }

  async charge(run: string, attempt: string, charge: Charge): Promise<void> {
    await this.#journal(run);
    await this.log.commit([{ add: `journal/${run}`, value: JSON.stringify({ attempt, charge } satisfies Line) }]);
  }

  async journal(id: string) {
    await this.run(id);
    const entries = new Map<string, JournalEntry>();
    const charges = new Map<string, Charge>();
    for (const line of await this.#lines(id))
      if ("entry" in line) entries.set(line.entry.path, line.entry);
      else charges.set(line.attempt, line.charge);
    return { entries, ...sumOf([...charges.values()]) };
  }

  async texts(hashes: readonly string[]): Promise<Texts> {
    const texts = new Map<string, string>();
    for (const hash of hashes) {
      const bytes = await this.log.blob(hash);
      if (bytes) texts.set(hash, bytes.toString());
    }
    return texts;
  }

  async forget(runs: readonly string[]): Promise<void> {
    for (const id of runs) this.#journals.delete(id);
    await this.log.commit(
      runs.flatMap((id) => [{ delete: `begun/${id}` }, { delete: `journal/${id}` }, ...this.waits.removal(id)]),
    );
    for (const id of runs) {
      this.#journals.delete(id);
      if (!this.legacy || !(await this.#old()).has(id)) continue;
      await this.legacy.forget(id);
      this.#oldIds = undefined;
      this.#oldKnown = undefined;
    }
  }
}

function parsed<T>(value: Buffer, path: string): T {
  try {
    return JSON.parse(value.toString()) as T;
  } catch (cause) {
    throw corrupt("a record is damaged", path, cause);
  }
}

/** Those of some texts that are named. */
function only(texts: Texts, hashes: readonly string[]): Texts {
  if (texts.size === hashes.length) return texts;
  const named = new Map<string, string>();
  for (const hash of hashes) {
    const text = texts.get(hash);
    if (text !== undefined) named.set(hash, text);
  }
  return named;
}
