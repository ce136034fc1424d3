import { appendFile, mkdir, open, readdir, readFile, rename, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { didYouMean, type Hit, type Passage, passage, type StoreQuery, TesseraError } from "@tessera/core";
import { HashEncoder } from "@tessera/models";
import { Bm25Store, ExactStore } from "@tessera/retriever";
import type { Resources } from "@tessera/tessera";
import { z } from "zod";
import { doorOf } from "./index-door.js";

const change = z.union([z.object({ upsert: z.array(passage) }), z.object({ delete: z.array(z.string()) })]);
type Change = z.infer<typeof change>;

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
  /** Passages of one id are a replacement. */
  upsert(passages: readonly Passage[]): Promise<void>;
  delete(ids: readonly string[]): Promise<void>;
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

/** An index in this process. Every change is one line of a log, committed before it can be found. */
class LoggedIndex implements ServedIndex {
  readonly sparse = new Bm25Store();
  readonly encoder = new HashEncoder();
  readonly dense = new ExactStore({ space: this.encoder.space(), width: this.encoder.width });
  readonly #ids = new Set<string>();
  #changes: Promise<unknown> = Promise.resolve();

  constructor(
    readonly name: string,
    private readonly log: string,
    private readonly assertHeld: () => Promise<void>,
  ) {}

  async statistics(): Promise<IndexStatistics> {
    return { name: this.name, passages: this.#ids.size, revision: this.sparse.revision, encoder: "hash" };
  }

  get resources(): Resources {
    return {
      store: { [`${this.name}.sparse`]: doorOf(this.sparse, this), [`${this.name}.dense`]: doorOf(this.dense, this) },
      encoder: { [`${this.name}.encoder`]: this.encoder },
    };
  }

  /**
   * Reads the log. A last line that a kill cut short was never confirmed: it is cut off, with a warning.
   * @throws TesseraError INDEX_CORRUPT where a whole line is damaged; the log stays as it is.
   */
  async load(): Promise<this> {
    const bytes = await readFile(this.log);
    const end = bytes.lastIndexOf(10) + 1;
    for (const [index, line] of bytes.subarray(0, end).toString("utf8").split("\n").slice(0, -1).entries())
      try {
        await this.#apply(change.parse(JSON.parse(line)));
      } catch (cause) {
        throw new TesseraError("INDEX_CORRUPT", `line ${index + 1} of the log is damaged`, { path: this.name, cause });
      }
    if (end < bytes.length) {
      await truncate(this.log, end);
      const torn = `the last change of the index "${this.name}" was cut short (${bytes.length - end} bytes) and is dropped`;
      process.emitWarning(torn, "TesseraWarning");
    }
    return this;
  }

  async #apply(made: Change): Promise<void> {
    if ("delete" in made) {
      await Promise.all([this.sparse.delete(made.delete), this.dense.delete(made.delete)]);
      for (const id of made.delete) this.#ids.delete(id);
      return;
    }
    const texts = made.upsert.map(({ title = "", text }) => `${title}\n${text}`);
    const vectors = await this.encoder.encode(texts, { kind: "text" });
    await this.dense.upsert(made.upsert, vectors);
    await this.sparse.upsert(made.upsert);
    for (const { id } of made.upsert) this.#ids.add(id);
  }

  #commit(made: Change): Promise<void> {
    const result = this.#changes.then(async () => {
      await this.assertHeld();
      const file = await open(this.log, "a");
      const { size } = await file.stat();
      try {
        await file.appendFile(`${JSON.stringify(made)}\n`);
        await file.sync();
      } catch (cause) {
        await file.truncate(size).catch(() => {});
        throw new TesseraError("STORE_FAILED", "the change could not be written; nothing has changed", { cause });
      } finally {
        await file.close();
      }
      await this.#apply(made);
    });
    this.#changes = result.catch(() => {});
    return result;
  }

  upsert(passages: readonly Passage[]): Promise<void> {
    return this.#commit({ upsert: [...new Map(passages.map((one) => [one.id, one])).values()] });
  }

  delete(ids: readonly string[]): Promise<void> {
    return this.#commit({ delete: [...ids] });
  }

  search(query: Parameters<ServedIndex["search"]>[0]): Promise<Hit[]> {
    return this.sparse.search(query);
  }

  async close(): Promise<void> {
    await this.#changes;
    await Promise.all([this.sparse.close(), this.dense.close()]);
  }
}

/** Indexes in this process, one log each in a folder; `assertHeld` is asked before every write. */
export class IndexFolder implements Indexes {
  readonly #indexes = new Map<string, LoggedIndex>();

  private constructor(
    private readonly folder: string,
    private readonly assertHeld: () => Promise<void>,
  ) {}

  /** @throws TesseraError INDEX_CORRUPT */
  static async open(folder: string, assertHeld: () => Promise<void> = async () => {}): Promise<IndexFolder> {
    await mkdir(folder, { recursive: true });
    const indexes = new IndexFolder(folder, assertHeld);
    for (const file of await readdir(folder))
      if (file.endsWith(".jsonl")) {
        const name = file.slice(0, -".jsonl".length);
        indexes.#indexes.set(name, await new LoggedIndex(name, join(folder, file), assertHeld).load());
      }
    return indexes;
  }

  get all(): readonly ServedIndex[] {
    return [...this.#indexes.values()];
  }

  get resources(): Resources {
    return mergedResources(this.all.map(({ resources }) => resources));
  }

  get(name: string): ServedIndex {
    return indexNamed(this.#indexes, name);
  }

  async create(name: string): Promise<ServedIndex> {
    await this.assertHeld();
    if (this.#indexes.has(name)) throw new TesseraError("CONFLICT", `there is an index "${name}"`, { path: name });
    const log = join(this.folder, `${name}.jsonl`);
    const index = new LoggedIndex(name, log, this.assertHeld);
    this.#indexes.set(name, index);
    await appendFile(log, "").catch((cause) => {
      this.#indexes.delete(name);
      throw new TesseraError("STORE_FAILED", "the index could not be made", { path: name, cause });
    });
    return index;
  }

  async remove(name: string): Promise<void> {
    const index = indexNamed(this.#indexes, name);
    await this.assertHeld();
    this.#indexes.delete(name);
    const log = join(this.folder, `${name}.jsonl`);
    await rename(log, `${log}.removed`);
    await index.close();
    await rm(`${log}.removed`);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#indexes.values()].map((index) => index.close()));
  }
}
