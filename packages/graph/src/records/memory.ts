// public: memoryRecords
import type { Records, RunRecord } from "@tessera/core";
import type { Charge, JournalEntry, Texts, ValueRefs } from "@tessera/core/internal";
import { memoryThreads } from "../threads/memory-threads.js";
import { memoryNotes } from "../waits/memory-notes.js";
import { assertRunId, hashesIn, stands, sumOf, taken, unknownRun } from "./pack.js";
import { cacheBytes, Recent } from "./recent.js";

interface Kept {
  readonly run: RunRecord;
  readonly entries: Map<string, JournalEntry>;
  readonly charges: Map<string, Charge>;
}

const textsIn = (kept: ReadonlyMap<string, { readonly text: string }>, hashes: readonly string[]): Texts =>
  new Map(hashes.flatMap((hash) => (kept.has(hash) ? [[hash, kept.get(hash)!.text] as const] : [])));

function knownOf(runs: ReadonlyMap<string, Kept>, id: string): Kept {
  const run = runs.get(id);
  if (!run) throw unknownRun(id);
  return run;
}

/**
 * Records in memory, for tests, for `whatIf` within one process, and as a cache. Equal values are stored once.
 * @param options `cacheBytes`: the most characters of texts in the cache, 256 Mi by default; the least recently used
 * texts are removed first
 */
export function memoryRecords(options: { readonly cacheBytes?: number | undefined } = {}): Records {
  const cache = new Map<string, string>();
  const recent = new Recent(options.cacheBytes ?? cacheBytes);
  const runs = new Map<string, Kept>();
  const waits = memoryNotes();
  const kept = new Map<string, { readonly text: string; uses: number }>(); // by hash

  const use = (refs: ValueRefs, texts: Texts): void => {
    for (const hash of hashesIn(refs)) {
      const before = kept.get(hash);
      if (before) before.uses++;
      else kept.set(hash, { text: texts.get(hash)!, uses: 1 });
    }
  };
  const drop = (refs: ValueRefs): void => {
    for (const hash of hashesIn(refs)) {
      const before = kept.get(hash);
      if (before && --before.uses === 0) kept.delete(hash);
    }
  };
  const known = (id: string): Kept => knownOf(runs, id);

  return {
    waits,
    threads: memoryThreads(),
    async get(key) {
      recent.use(key);
      return cache.get(key);
    },
    async put(key, text) {
      cache.set(key, text);
      for (const gone of recent.add(key, text.length)) cache.delete(gone);
    },
    async begin(run, texts) {
      assertRunId(run.id);
      const before = runs.get(run.id)?.run;
      if (before?.claim === run.claim) return;
      if (before) throw taken(run.id);
      runs.set(run.id, { run, entries: new Map(), charges: new Map() });
      use(run.input, texts);
      use(run.document, texts);
    },
    async run(id) {
      assertRunId(id);
      return runs.get(id)?.run;
    },
    async commit(run, entry, texts) {
      const { entries } = known(run);
      const before = entries.get(entry.path);
      if (before && stands(before, entry.operator)) return before;
      use(entry.output, texts);
      if (before) drop(before.output);
      entries.set(entry.path, entry);
      return entry;
    },
    async charge(run, attempt, charge) {
      known(run).charges.set(attempt, charge);
    },
    async journal(run) {
      const there = runs.get(run);
      return { entries: new Map(there?.entries), ...sumOf([...(there?.charges.values() ?? [])]) };
    },
    texts: async (hashes) => textsIn(kept, hashes),
    async forget(ids) {
      for (const id of ids) {
        waits.forget(id);
        const there = runs.get(id);
        if (!there || !runs.delete(id)) continue;
        for (const refs of [there.run.input, there.run.document]) drop(refs);
        for (const { output } of there.entries.values()) drop(output);
      }
    },
  };
}
