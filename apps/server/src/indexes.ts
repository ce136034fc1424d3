import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type ChangeOptions, type Hit, type Passage, passage, type StoreQuery, TesseraError } from "@tessera/core";
import { didYouMean, type KeyedChange, KeyedLog } from "@tessera/core/internal";
import { HashEncoder } from "@tessera/models";
import { Bm25Store, ExactStore } from "@tessera/stores";
import type { Resources } from "@tessera/tessera";
import { z } from "zod";
import { storeThroughIndex } from "./index-store.js";

const change = z.union([z.object({ upsert: z.array(passage) }), z.object({ delete: z.array(z.string()) })]);

/** What a change brings and takes; what it brings is there in the end. */
interface Change {
  readonly upsert?: readonly Passage[] | undefined;
  readonly delete?: readonly string[] | undefined;
}

/** The passages of some files, by what their ids begin with. */
export type FilePassages = ReadonlyMap<string, readonly Passage[]>;

export interface IndexStatistics {
  readonly name: string;
  readonly passages: number;
  readonly revision: string;
  /** What makes its vectors; an index without has words alone. */
  readonly encoder: string | undefined;
}

/** A search index that clients fill. A change is wholly there or not at all, and can be found once it is kept. */
export interface ServedIndex {
  readonly name: string;
  statistics(): Promise<IndexStatistics>;
  /** What flows name: the stores "<name>.sparse" and "<name>.dense", and the encoder "<name>.encoder". */
  readonly resources: Resources;
  /** Passages of one id are a replacement. A change whose idempotency key is kept already is not made again. */
  upsert(passages: readonly Passage[], how?: ChangeOptions): Promise<void>;
  delete(ids: readonly string[], how?: ChangeOptions): Promise<void>;
  /** Puts the passages of some files in the place of all whose ids begin as theirs do. Tells how many went. */
  replace(files: FilePassages): Promise<number>;
  /** By words. */
  search(query: Pick<StoreQuery, "text" | "top" | "principal">): Promise<Hit[]>;
}

/** The indexes that a service makes and changes. */
export interface Indexes {
  readonly all: readonly ServedIndex[];
  /** What all of them give to flows. */
  readonly resources: Resources;
  /** @throws TesseraError NOT_FOUND */
  get(name: string): ServedIndex;
  /** @throws TesseraError CONFLICT where there is one of that name. */
  create(name: string): Promise<ServedIndex>;
  /** @throws TesseraError NOT_FOUND */
  remove(name: string): Promise<void>;
  close(): Promise<void>;
}

/** @throws TesseraError NOT_FOUND */
export function indexNamed<I extends ServedIndex>(indexes: ReadonlyMap<string, I>, name: string): I {
  const found = indexes.get(name);
  if (found) return found;
  throw new TesseraError("NOT_FOUND", `there is no index "${name}"`, { hint: didYouMean(name, indexes.keys()) });
}

/** The resources of several, kind by kind; of one name the last stands. */
export function mergedResources(all: readonly Resources[]): Resources {
  const merged: Record<string, Resources[string]> = {};
  for (const resources of all)
    for (const [kind, named] of Object.entries(resources)) merged[kind] = { ...merged[kind], ...named };
  return merged;
}

const spareBytes = 64 << 10;
const keyPrefix = "\0made\0"; // of the keys of changes, which lie in the log beside the passages
const keysKept = 100_000;

/** An index in this process. A change is committed to a log, where each passage has its id as key, before it can be found. */
class LoggedIndex implements ServedIndex {
  readonly sparse = new Bm25Store();
  readonly encoder = new HashEncoder();
  readonly dense = new ExactStore({ space: this.encoder.space(), width: this.encoder.width });
  readonly #ids = new Set<string>();
  readonly #made = new Set<string>(); // the idempotency keys of changes, the latest last
  #log!: KeyedLog;
  #changes: Promise<unknown> = Promise.resolve();

  constructor(
    readonly name: string,
    private readonly folder: string,
    private readonly assertHeld: () => void,
  ) {}

  async statistics(): Promise<IndexStatistics> {
    return { name: this.name, passages: this.#ids.size, revision: this.sparse.revision, encoder: "hash" };
  }

  get resources(): Resources {
    return {
      store: {
        [`${this.name}.sparse`]: storeThroughIndex(this.sparse, this),
        [`${this.name}.dense`]: storeThroughIndex(this.dense, this),
      },
      encoder: { [`${this.name}.encoder`]: this.encoder },
    };
  }

  /**
   * Reads the log. An end that a kill cut short was never confirmed: it is dropped, with a warning.
   * @throws TesseraError INDEX_CORRUPT with the file where what was confirmed is damaged or missing; nothing is changed.
   */
  async load(): Promise<this> {
    const passages = new Map<string, Passage>();
    try {
      this.#log = await KeyedLog.open({
        folder: this.folder,
        beforeWrite: this.assertHeld,
        spareBytes,
        onOpen: (id, value) => {
          if (id.startsWith(keyPrefix)) {
            this.#made.delete(id);
            if (value) this.#made.add(id);
            return;
          }
          passages.delete(id);
          if (value) passages.set(id, passage.parse(JSON.parse(value.toString())));
        },
      });
    } catch (cause) {
      if (!TesseraError.is(cause) || cause.code !== "RECORD_CORRUPT") throw cause;
      const { message, path } = cause;
      const hint = "restore the file from a backup; or call `tessera serve --repair`, which lists what is lost";
      throw new TesseraError("INDEX_CORRUPT", `the index "${this.name}": ${message}`, { path, hint, cause });
    }
    if (this.#log.dropped > 0)
      process.emitWarning(
        `the last change of the index "${this.name}" was cut short (${this.#log.dropped} bytes) and is dropped`,
        "TesseraWarning",
      );
    await this.#apply({ upsert: [...passages.values()] });
    return this;
  }

  /** Brings in the log of the first layout: a line of JSON for each change. @throws TesseraError INDEX_CORRUPT */
  async import(path: string): Promise<this> {
    const text = (await readFile(path)).toString("utf8");
    const lines = text
      .slice(0, text.lastIndexOf("\n") + 1)
      .split("\n")
      .slice(0, -1);
    const passages = new Map<string, Passage>();
    for (const [index, line] of lines.entries())
      try {
        const made = change.parse(JSON.parse(line));
        if ("delete" in made) for (const id of made.delete) passages.delete(id);
        else for (const one of made.upsert) passages.set(one.id, one);
      } catch (cause) {
        throw new TesseraError("INDEX_CORRUPT", `line ${index + 1} of the log is damaged`, { path, cause });
      }
    await this.#log.commit(changesOf({ upsert: [...passages.values()] }));
    await this.#apply({ upsert: [...passages.values()] });
    await rm(path);
    return this;
  }

  async #apply(made: Change): Promise<void> {
    const { upsert = [], delete: gone = [] } = made;
    if (gone.length > 0) {
      await Promise.all([this.sparse.delete(gone), this.dense.delete(gone)]);
      for (const id of gone) this.#ids.delete(id);
    }
    if (upsert.length === 0) return;
    const texts = upsert.map(({ title = "", text }) => `${title}\n${text}`);
    const vectors = await this.encoder.encode(texts, { kind: "text" });
    await this.dense.upsert(upsert, vectors);
    await this.sparse.upsert(upsert);
    for (const { id } of upsert) this.#ids.add(id);
  }

  /** Makes a change after those before it. One that depends on what is there is asked for in its turn. */
  #commit(change: Change | (() => Change), { idempotencyKey }: ChangeOptions = {}): Promise<void> {
    const key = idempotencyKey === undefined ? undefined : keyPrefix + idempotencyKey;
    const result = this.#changes.then(async () => {
      if (key !== undefined && this.#made.has(key)) return;
      const made = typeof change === "function" ? change() : change;
      const [oldest] = key !== undefined && this.#made.size >= keysKept ? this.#made : [];
      const keys: KeyedChange[] = key === undefined ? [] : [{ put: key, value: Buffer.from("1") }];
      if (oldest !== undefined) keys.push({ delete: oldest });
      await this.#log.commit([...changesOf(made), ...keys]);
      if (key !== undefined) this.#made.add(key);
      if (oldest !== undefined) this.#made.delete(oldest);
      await this.#apply(made);
    });
    this.#changes = result.catch(() => {});
    return result;
  }

  upsert(passages: readonly Passage[], how?: ChangeOptions): Promise<void> {
    return this.#commit({ upsert: [...new Map(passages.map((one) => [one.id, one])).values()] }, how);
  }

  delete(ids: readonly string[], how?: ChangeOptions): Promise<void> {
    return this.#commit({ delete: [...ids] }, how);
  }

  async replace(files: FilePassages): Promise<number> {
    const upsert = [...files.values()].flat();
    const kept = new Set(upsert.map(({ id }) => id));
    let gone: string[] = [];
    await this.#commit(() => {
      gone = [...this.#ids].filter((id) => !kept.has(id) && [...files.keys()].some((start) => id.startsWith(start)));
      return { upsert, delete: gone };
    });
    return gone.length;
  }

  search(query: Parameters<ServedIndex["search"]>[0]): Promise<Hit[]> {
    return this.sparse.search(query);
  }

  async close(): Promise<void> {
    await this.#changes;
    await this.#log.close();
    await Promise.all([this.sparse.close(), this.dense.close()]);
  }
}

const changesOf = ({ upsert = [], delete: gone = [] }: Change): KeyedChange[] => [
  ...gone.map((id) => ({ delete: id })),
  ...upsert.map((one) => ({ put: one.id, value: Buffer.from(JSON.stringify(one)) })),
];

/** Indexes by name. */
export class NamedIndexes<I extends ServedIndex> {
  protected readonly indexes = new Map<string, I>();

  get all(): readonly ServedIndex[] {
    return [...this.indexes.values()];
  }

  get resources(): Resources {
    return mergedResources(this.all.map(({ resources }) => resources));
  }

  get(name: string): ServedIndex {
    return indexNamed(this.indexes, name);
  }
}

/** Indexes in this process, one log each in a folder; `assertHeld` is asked before every write. */
export class IndexFolder extends NamedIndexes<LoggedIndex> implements Indexes {
  private constructor(
    private readonly folder: string,
    private readonly assertHeld: () => void,
  ) {
    super();
  }

  /** @throws TesseraError INDEX_CORRUPT */
  static async open(folder: string, assertHeld: () => void = () => {}): Promise<IndexFolder> {
    await mkdir(folder, { recursive: true });
    const indexes = new IndexFolder(folder, assertHeld);
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const { name } = entry;
      if (name.endsWith(".removed")) await rm(join(folder, name), { recursive: true });
      else if (entry.isDirectory()) await indexes.#load(name);
    }
    for (const file of await readdir(folder))
      if (file.endsWith(".jsonl")) {
        const name = file.slice(0, -".jsonl".length);
        await (indexes.indexes.get(name) ?? (await indexes.#load(name))).import(join(folder, file));
      }
    return indexes;
  }

  async #load(name: string): Promise<LoggedIndex> {
    const index = await new LoggedIndex(name, join(this.folder, name), this.assertHeld).load();
    this.indexes.set(name, index);
    return index;
  }

  async create(name: string): Promise<ServedIndex> {
    this.assertHeld();
    if (this.indexes.has(name)) throw new TesseraError("CONFLICT", `there is an index "${name}"`, { path: name });
    const index = new LoggedIndex(name, join(this.folder, name), this.assertHeld);
    this.indexes.set(name, index);
    try {
      return await index.load();
    } catch (cause) {
      this.indexes.delete(name);
      throw new TesseraError("STORE_FAILED", "the index could not be made", { path: name, cause });
    }
  }

  async remove(name: string): Promise<void> {
    const index = indexNamed(this.indexes, name);
    this.assertHeld();
    this.indexes.delete(name);
    const folder = join(this.folder, name);
    await rename(folder, `${folder}.removed`);
    await index.close();
    await rm(`${folder}.removed`, { recursive: true });
  }

  async close(): Promise<void> {
    await Promise.all([...this.indexes.values()].map((index) => index.close()));
  }
}
