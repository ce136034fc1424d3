import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Records, type RunRecord, type StepRecord, TesseraError } from "@tessera/core";
import { fromJson, toJson } from "./serialize.js";

const safeName = /^[A-Za-z0-9_-]{1,128}$/;

/** Writes a file whole or not at all, and so that it survives a crash of the machine. */
async function writeWhole(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const draft = `${path}.${randomUUID()}.draft`;
  const file = await open(draft, "w");
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new TesseraError("RECORD_CORRUPT", "a record cannot be read", { path, cause });
  }
}

function parse<T>(text: string, path: string): T {
  try {
    return fromJson(JSON.parse(text)) as T;
  } catch (cause) {
    throw new TesseraError("RECORD_CORRUPT", "a record is damaged", {
      path,
      cause,
      hint: "remove the file; the step will run again",
    });
  }
}

/**
 * Records in a folder: `steps/<key>.json`, and for each run `runs/<id>/run.json` and `journal.tsv`. Every file is
 * written whole; the journal is appended line by line, and a line that a crash cut short does not count.
 */
export function diskRecords(folder: string): Records {
  const stepPath = (key: string) => join(folder, "steps", key.slice(0, 2), `${key}.json`);
  const runFolder = (id: string) => {
    if (!safeName.test(id))
      throw new TesseraError("BAD_ARGUMENT", `"${id}" cannot name a run`, {
        hint: "letters, digits, - and _, at most 128",
      });
    return join(folder, "runs", id);
  };
  const journalPath = (id: string) => join(runFolder(id), "journal.tsv");
  const appending = new Map<string, Promise<void>>(); // by run
  const changing = new Map<string, Promise<void>>(); // by the key of a step

  /** Works alone on some steps: one that is being forgotten is not taken up by another run at the same time. */
  const alone = async (keys: readonly string[], work: () => Promise<void>): Promise<void> => {
    const before = keys.map((key) => changing.get(key));
    const next = Promise.allSettled(before).then(work);
    for (const key of keys) changing.set(key, next);
    try {
      await next;
    } finally {
      for (const key of keys) if (changing.get(key) === next) changing.delete(key);
    }
  };

  const readJournal = async (run: string): Promise<Map<string, string>> => {
    const text = (await readIfThere(journalPath(run))) ?? "";
    const journal = new Map<string, string>();
    for (const line of text.slice(0, text.lastIndexOf("\n") + 1).split("\n")) {
      const [path, key, end] = line.split("\t");
      if (path && key && end === ".") journal.set(path, key);
    }
    return journal;
  };

  const mended = new Set<string>();

  const appendLine = async (run: string, line: string): Promise<void> => {
    const path = journalPath(run);
    // a process that was killed may have left half a line; ours begins on a new one
    const torn = !mended.has(run) && !((await readIfThere(path)) ?? "\n").endsWith("\n");
    mended.add(run);
    const file = await open(path, "a");
    try {
      await file.writeFile(torn ? `\n${line}` : line);
      await file.sync();
    } finally {
      await file.close();
    }
  };

  const put = (key: string, record: StepRecord) => writeWhole(stepPath(key), JSON.stringify(toJson(record)));

  const append = async (run: string, path: string, key: string): Promise<void> => {
    // one line after the other, so that no two are written into each other
    const before = appending.get(run) ?? Promise.resolve();
    const next = before.catch(() => {}).then(() => appendLine(run, `${path}\t${key}\t.\n`));
    appending.set(run, next);
    try {
      await next;
    } finally {
      if (appending.get(run) === next) appending.delete(run);
    }
  };

  return {
    async get(key) {
      const text = await readIfThere(stepPath(key));
      return text === undefined ? undefined : parse<StepRecord>(text, stepPath(key));
    },
    put,
    async begin(run) {
      await writeWhole(join(runFolder(run.id), "run.json"), JSON.stringify(toJson(run)));
    },
    async run(id) {
      const path = join(runFolder(id), "run.json");
      const text = await readIfThere(path);
      return text === undefined ? undefined : parse<RunRecord>(text, path);
    },
    append,
    commit: (run, path, key, record) =>
      alone([key], async () => {
        await put(key, record);
        await append(run, path, key);
      }),
    journal: readJournal,
    async forget(runs) {
      const journals = await Promise.all(runs.map(readJournal));
      const keys = [...new Set(journals.flatMap((journal) => [...journal.values()]))];
      await alone(keys, async () => {
        for (const run of runs) {
          await rm(runFolder(run), { recursive: true, force: true });
          mended.delete(run);
        }
        const freed = new Set(keys);
        for (const other of await readdir(join(folder, "runs")).catch(() => []))
          for (const key of (await readJournal(other)).values()) freed.delete(key);
        for (const key of freed) await rm(stepPath(key), { force: true });
      });
    },
  };
}
