import { randomUUID } from "node:crypto";
import { link, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Charge, JournalEntry, Records, RunRecord, Texts, ValueRefs } from "@tessera/core";
import { fromLegacy, LegacyFolder } from "./legacy.js";
import { assertRunId, corrupt, hashesIn, seal, stands, sumOf, taken, unknownRun, unseal } from "./pack.js";

/** A line of a run's journal. */
type Line = { readonly entry: JournalEntry } | { readonly attempt: string; readonly charge: Charge };

/** Writes a file beside its place, so that it survives a crash of the machine; `put` moves it there. */
async function writeWhole(
  path: string,
  text: string,
  put: (draft: string, path: string) => Promise<void>,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const draft = `${path}.${randomUUID()}.draft`;
  try {
    const file = await open(draft, "w");
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await put(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw corrupt("a record cannot be read", path, cause);
  }
}

/** The lines of a journal; the last one may have been cut short by a crash, and does not count then. */
function linesOf(text: string, path: string): Line[] {
  const lines: Line[] = [];
  const written = text.split("\n");
  for (const [index, line] of written.entries()) {
    const last = index === written.length - 1;
    if (last && line === "") break;
    try {
      lines.push(unseal<Line>(line, path));
    } catch (cause) {
      if (!last) throw corrupt(`line ${index + 1} of a journal is damaged`, path, cause);
    }
  }
  return lines;
}

/** What is known of a run whose journal is open. */
interface OpenRun {
  readonly entries: Map<string, JournalEntry>;
  readonly charges: Map<string, Charge>;
}

/**
 * Records in a folder: `values/<hash>` (texts, each once), `cache/<key>`, and for each run
 * `runs/<id>/begun` and `runs/<id>/journal`. Runs that the first layout left there are brought
 * into this one when they are asked for.
 */
export function diskRecords(folder: string): Records {
  const legacy = new LegacyFolder(folder);
  const place = (kind: string, name: string) => join(folder, kind, name.slice(0, 2), name);
  const runFolder = (id: string) => {
    assertRunId(id);
    return join(folder, "runs", id);
  };
  const journalPath = (id: string) => join(runFolder(id), "journal");
  const open_ = new Map<string, Promise<OpenRun>>();
  const queues = new Map<string, Promise<unknown>>(); // by run
  const written = new Set<string>(); // hashes of values that are there
  let forgetting: Promise<unknown> = Promise.resolve();
  const changing = new Set<Promise<unknown>>();

  /** Changes of one run come one after another, and none while something is forgotten. */
  const alone = <T>(run: string, work: () => Promise<T>): Promise<T> => {
    const before = queues.get(run);
    const next = Promise.allSettled([before, forgetting]).then(work);
    queues.set(run, next);
    changing.add(next);
    const done = () => {
      changing.delete(next);
      if (queues.get(run) === next) queues.delete(run);
    };
    next.then(done, done);
    return next;
  };

  const keep = async (refs: ValueRefs, texts: Texts): Promise<void> => {
    for (const hash of hashesIn(refs)) {
      if (written.has(hash)) continue;
      await writeWhole(place("values", hash), texts.get(hash)!, rename);
      written.add(hash);
    }
  };

  const readRun = async (id: string): Promise<OpenRun> => {
    const entries = new Map<string, JournalEntry>();
    const charges = new Map<string, Charge>();
    for (const line of linesOf((await readIfThere(journalPath(id))) ?? "", journalPath(id)))
      if ("entry" in line) entries.set(line.entry.path, line.entry);
      else charges.set(line.attempt, line.charge);
    return { entries, charges };
  };

  /** A run that is written to: what a crash left of a last line is cut off first. */
  const opened = (id: string): Promise<OpenRun> => {
    const known = open_.get(id);
    if (known) return known;
    const opening = (async () => {
      const path = journalPath(id);
      const text = await readIfThere(path);
      if (text !== undefined && !text.endsWith("\n"))
        await writeWhole(path, text.slice(0, text.lastIndexOf("\n") + 1), rename);
      return readRun(id);
    })();
    open_.set(id, opening);
    opening.catch(() => open_.delete(id));
    return opening;
  };

  const append = async (run: string, line: Line): Promise<void> => {
    const file = await open(journalPath(run), "a");
    try {
      await file.writeFile(`${seal(line)}\n`);
      await file.sync();
    } catch (error) {
      open_.delete(run); // half a line may be there
      throw error;
    } finally {
      await file.close();
    }
  };

  /** The record of a run; one of the first layout is brought into today's first. */
  const begun = async (id: string): Promise<RunRecord | undefined> => {
    const path = join(runFolder(id), "begun");
    const text = await readIfThere(path);
    if (text !== undefined) return unseal<RunRecord>(text, path);
    const old = await legacy.read(id);
    if (!old) return undefined;
    const { run, entries, texts } = fromLegacy(old);
    for (const refs of [run.input, ...entries.map(({ output }) => output)]) await keep(refs, texts);
    const lines = entries.map((entry) => `${seal({ entry } satisfies Line)}\n`);
    await writeWhole(journalPath(id), lines.join(""), rename);
    await writeWhole(path, seal(run), rename);
    return run;
  };

  const assertKnown = async (id: string): Promise<void> => {
    if (!open_.has(id) && !(await begun(id))) throw unknownRun(id);
  };

  return {
    get: (key) => readIfThere(place("cache", key)),
    put: (key, text) => writeWhole(place("cache", key), text, rename),
    begin: (run, texts) =>
      alone(run.id, async () => {
        const path = join(runFolder(run.id), "begun");
        if (!(await begun(run.id))) {
          await keep(run.input, texts);
          await keep(run.document, texts);
          await writeWhole(path, seal(run), link).catch((error) => {
            if (error.code !== "EEXIST") throw error;
          });
        }
        if ((await begun(run.id))?.claim !== run.claim) throw taken(run.id);
      }),
    run: begun,
    commit: (run, entry, texts) =>
      alone(run, async () => {
        await assertKnown(run);
        const { entries } = await opened(run);
        const before = entries.get(entry.path);
        if (before && stands(before, entry.operator)) return before;
        await keep(entry.output, texts);
        await append(run, { entry });
        entries.set(entry.path, entry);
        return entry;
      }),
    charge: (run, attempt, charge) =>
      alone(run, async () => {
        await assertKnown(run);
        const { charges } = await opened(run);
        await append(run, { attempt, charge });
        charges.set(attempt, charge);
      }),
    async journal(id) {
      await begun(id);
      const { entries, charges } = await readRun(id);
      return { entries, ...sumOf([...charges.values()]) };
    },
    async texts(hashes) {
      const texts = new Map<string, string>();
      for (const hash of hashes) {
        const text = await readIfThere(place("values", hash));
        if (text !== undefined) texts.set(hash, text);
      }
      return texts;
    },
    forget(ids) {
      const before = [...changing]; // what comes later waits for this
      const work = async (): Promise<void> => {
        await Promise.allSettled(before);
        const freed = new Set<string>();
        const used = async (id: string): Promise<string[]> => {
          const found = await begun(id);
          const { entries } = await readRun(id);
          const outputs = [...entries.values()].map(({ output }) => output);
          return [found?.input ?? {}, found?.document ?? {}, ...outputs].flatMap(hashesIn);
        };
        for (const id of ids) {
          for (const hash of await used(id).catch(() => [])) freed.add(hash);
          await legacy.forget(id);
          await rm(runFolder(id), { recursive: true, force: true });
          open_.delete(id);
        }
        for (const other of await readdir(join(folder, "runs")).catch(() => []))
          for (const hash of await used(other)) freed.delete(hash);
        for (const hash of freed) {
          await rm(place("values", hash), { force: true });
          written.delete(hash);
        }
      };
      const next = forgetting.then(work, work);
      forgetting = next.catch(() => {});
      return next;
    },
  };
}
