// internal
import { setImmediate } from "node:timers/promises";
import type { Records, RunRecord, StepRecord } from "@tessera/core";

/** Records that know which writes are under way, so that they are not closed before these are done. */
export class PendingRecords implements Records {
  readonly #writing = new Set<Promise<unknown>>();
  readonly commit: Records["commit"];

  constructor(private readonly records: Records) {
    if (records.commit) this.commit = (run, path, key, record) => this.#follow(records.commit!(run, path, key, record));
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
  put = (key: string, record: StepRecord) => this.#follow(this.records.put(key, record));
  begin = (run: RunRecord) => this.#follow(this.records.begin(run));
  append = (run: string, path: string, key: string) => this.#follow(this.records.append(run, path, key));
  forget = (runs: readonly string[]) => this.#follow(this.records.forget(runs));

  /** Waits for what is being written, and closes the records. */
  async close(): Promise<void> {
    while (this.#writing.size > 0) {
      await Promise.allSettled([...this.#writing]);
      await setImmediate(); // whoever put a record appends to its journal next
    }
    await this.records.close?.();
  }
}
