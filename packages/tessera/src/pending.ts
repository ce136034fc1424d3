import { setImmediate } from "node:timers/promises";
import type { Records, RunRecord } from "@tessera/core";
import type { Charge, DirectRecords, JournalEntry, Texts, ThreadStore, WaitNotes } from "@tessera/core/internal";

/** Records that know which writes are under way, so that they are not closed before these are done. */
export class PendingRecords implements Records {
  readonly #writing = new Set<Promise<unknown>>();
  readonly #direct: DirectRecords | undefined;
  readonly waits: WaitNotes | undefined;
  readonly threads: ThreadStore | undefined;
  /** Is told when a run will be due (milliseconds since 1970). */
  onDue: ((due: number) => void) | undefined;

  constructor(private readonly records: Records) {
    const { direct, waits, threads } = records;
    if (waits)
      this.waits = {
        note: (note) =>
          this.#follow(waits.note(note)).then(() => {
            if (note.due) this.onDue?.(note.due);
          }),
        remove: (run) => this.#follow(waits.remove(run)),
        get: (run) => waits.get(run),
        list: (query) => waits.list(query),
        due: (at, limit) => waits.due(at, limit),
        next: () => waits.next(),
        left: () => waits.left(),
      };
    if (threads)
      this.threads = {
        open: (...given) => this.#follow(threads.open(...given)),
        close: (...given) => this.#follow(threads.close(...given)),
        remove: (name) => this.#follow(threads.remove(name)),
        get: (name) => threads.get(name),
        turns: (name, query) => threads.turns(name, query),
        list: (query) => threads.list(query),
        count: (owner) => threads.count(owner),
      };
    if (!direct) return;
    // what has nothing to close need not be waited for
    if (!records.close) {
      this.#direct = direct;
      return;
    }
    const followed = (write: Promise<void> | undefined) => write && this.#follow(write);
    this.#direct = {
      begin: (run, texts) => followed(direct.begin(run, texts)),
      commit: (run, entry, texts) => followed(direct.commit(run, entry, texts)),
    };
  }

  #follow<T>(write: Promise<T>): Promise<T> {
    this.#writing.add(write);
    const forget = () => void this.#writing.delete(write);
    write.then(forget, forget);
    return write;
  }

  get = (key: string) => this.records.get(key);
  run = (id: string) => this.records.run(id);
  journal = (run: string) => this.records.journal(run);
  texts = (hashes: readonly string[]) => this.records.texts(hashes);
  put = (key: string, text: string) => this.#follow(this.records.put(key, text));
  begin = (run: RunRecord, texts: Texts) => this.#follow(this.records.begin(run, texts));
  commit = (run: string, entry: JournalEntry, texts: Texts) => this.#follow(this.records.commit(run, entry, texts));
  charge = (run: string, attempt: string, charge: Charge) => this.#follow(this.records.charge(run, attempt, charge));
  /** As those of the records. */
  get direct(): DirectRecords | undefined {
    return this.#direct;
  }

  forget = (runs: readonly string[]) => this.#follow(this.records.forget(runs));

  /** Waits for what is being written, and closes the records. */
  async close(): Promise<void> {
    while (this.#writing.size > 0) {
      await Promise.allSettled([...this.#writing]);
      await setImmediate(); // whoever wrote may write again
    }
    await this.records.close?.();
  }
}
