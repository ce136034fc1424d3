// internal: fromLegacy, LegacyFolder
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Json, RunRecord } from "@tessera/core";
import type { Charge, JournalEntry, Texts } from "@tessera/core/internal";
import { corrupt, noCharge, pack } from "./pack.js";
import { fromJson } from "./serialize.js";

/** A run as the first layout of records kept it: its record, and the key and the record of each finished step by path. */
interface LegacyRun {
  /** JSON, as `run.json` holds it. */
  readonly run: string;
  /** JSON of steps, as `steps/<key>.json` holds it. */
  readonly steps: ReadonlyMap<string, string>;
  /** Where it was found; for errors. */
  readonly path: string;
}

interface OldStep {
  readonly output: Readonly<Record<string, unknown>>;
  readonly streamed?: readonly string[];
  readonly spent?: Partial<Charge>;
}

/** A run of the first layout in today's form. It knows no versions of operators, and no document. */
export function fromLegacy({ run, steps, path }: LegacyRun): { run: RunRecord; entries: JournalEntry[]; texts: Texts } {
  const texts = new Map<string, string>();
  const packed = (row: Readonly<Record<string, unknown>>) => {
    const { refs, texts: made } = pack(row);
    for (const [hash, text] of made) texts.set(hash, text);
    return refs;
  };
  const { input, ...rest } = parsed<Omit<RunRecord, "input"> & { input: Record<string, unknown> }>(run, path);
  const entries = [...steps].map(([place, text]): JournalEntry => {
    const { output, streamed, spent } = parsed<OldStep>(text, path);
    const charged = { ...noCharge, ...spent };
    const known = { path: place, operator: "", version: 0, input: "", output: packed(output), charged };
    return streamed ? { ...known, streamed } : known;
  });
  return { run: { ...rest, document: {}, claim: "", input: packed(input) }, entries, texts };
}

function parsed<T>(text: string, path: string): T {
  try {
    return fromJson(JSON.parse(text) as Json) as T;
  } catch (cause) {
    throw corrupt("a record is damaged", path, cause);
  }
}

/**
 * The runs that records of the first layout left in a folder: `runs/<id>/run.json`, `runs/<id>/journal.tsv` with a path, a
 * key and a dot in each line, and `steps/<key>.json`.
 */
export class LegacyFolder {
  constructor(private readonly folder: string) {}

  /** The runs that are there. */
  async ids(): Promise<ReadonlySet<string>> {
    return new Set(await readdir(join(this.folder, "runs")).catch(() => []));
  }

  async read(id: string): Promise<LegacyRun | undefined> {
    const path = join(this.folder, "runs", id, "run.json");
    const run = await textOf(path);
    if (run === undefined) return undefined;
    const steps = new Map<string, string>();
    for (const [place, key] of await this.keys(id)) {
      const text = await textOf(this.stepPath(key));
      if (text === undefined) throw corrupt("a step is not there", this.stepPath(key));
      steps.set(place, text);
    }
    return { run, steps, path };
  }

  /** Removes a run, and the steps that no other run of the first layout names. */
  async forget(id: string): Promise<void> {
    const freed = new Set((await this.keys(id)).values());
    await rm(join(this.folder, "runs", id), { recursive: true, force: true });
    if (freed.size === 0) return;
    for (const other of await readdir(join(this.folder, "runs")).catch(() => []))
      if (other !== id) for (const key of (await this.keys(other)).values()) freed.delete(key);
    for (const key of freed) await rm(this.stepPath(key), { force: true });
  }

  private stepPath(key: string): string {
    return join(this.folder, "steps", key.slice(0, 2), `${key}.json`);
  }

  private async keys(id: string): Promise<Map<string, string>> {
    const text = (await textOf(join(this.folder, "runs", id, "journal.tsv"))) ?? "";
    const keys = new Map<string, string>();
    for (const line of text.slice(0, text.lastIndexOf("\n") + 1).split("\n")) {
      const [path, key, end] = line.split("\t");
      if (path && key && end === ".") keys.set(path, key);
    }
    return keys;
  }
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw corrupt("a record cannot be read", path, cause);
  }
}
