import type { Records, RunRecord, StepRecord } from "@tessera/core";
import { fromJson, toJson } from "./serialize.js";

/** Records in memory: for tests, for what-if within one process, and as a cache. */
export function memoryRecords(): Records & { readonly size: number } {
  const records = new Map<string, string>();
  const runs = new Map<string, RunRecord>();
  const journals = new Map<string, Map<string, string>>();
  return {
    get size() {
      return records.size;
    },
    async get(key) {
      const text = records.get(key);
      return text === undefined ? undefined : (fromJson(JSON.parse(text)) as StepRecord);
    },
    async put(key, record) {
      records.set(key, JSON.stringify(toJson(record)));
    },
    async begin(run) {
      runs.set(run.id, run);
      if (!journals.has(run.id)) journals.set(run.id, new Map());
    },
    run: async (id) => runs.get(id),
    async append(run, path, key) {
      journals.get(run)?.set(path, key);
    },
    journal: async (run) => new Map(journals.get(run)),
    async forget(ids) {
      const freed = ids.flatMap((id) => [...(journals.get(id)?.values() ?? [])]);
      for (const id of ids) {
        journals.delete(id);
        runs.delete(id);
      }
      const needed = new Set([...journals.values()].flatMap((journal) => [...journal.values()]));
      for (const key of freed) if (!needed.has(key)) records.delete(key);
    },
  };
}
