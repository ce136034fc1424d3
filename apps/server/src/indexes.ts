import { appendFile, mkdir, open, readdir, readFile, rename, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { didYouMean, type Passage, passage, TesseraError } from "@tessera/core";
import { HashEncoder } from "@tessera/models";
import { Bm25Store, ExactStore } from "@tessera/retriever";
import type { Resources } from "@tessera/tessera";
import { z } from "zod";

const change = z.union([z.object({ upsert: z.array(passage) }), z.object({ delete: z.array(z.string()) })]);
type Change = z.infer<typeof change>;

/** A search index of words and vectors. Every change is one line of a log, committed before it can be found. */
export class ServedIndex {
  readonly sparse = new Bm25Store();
  readonly encoder = new HashEncoder();
  readonly dense = new ExactStore({ space: this.encoder.space(), width: this.encoder.width });
  readonly #ids = new Set<string>();
  #changes: Promise<unknown> = Promise.resolve();

  constructor(
    readonly name: string,
    private readonly log: string,
  ) {}

  get statistics() {
    return { name: this.name, passages: this.#ids.size, revision: this.sparse.revision, encoder: "hash" };
  }

  /** What flows name: the stores "<name>.sparse" and "<name>.dense", and the encoder "<name>.encoder". */
  get resources(): Resources {
    return {
      store: { [`${this.name}.sparse`]: this.sparse, [`${this.name}.dense`]: this.dense },
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

  /** All of them or none. Passages of one id are a replacement. */
  upsert(passages: readonly Passage[]): Promise<void> {
    return this.#commit({ upsert: [...new Map(passages.map((one) => [one.id, one])).values()] });
  }

  delete(ids: readonly string[]): Promise<void> {
    return this.#commit({ delete: [...ids] });
  }

  async close(): Promise<void> {
    await this.#changes;
    await Promise.all([this.sparse.close(), this.dense.close()]);
  }
}

/** The indexes that a service makes and changes, one log each in a folder. */
export class IndexFolder {
  readonly #indexes = new Map<string, ServedIndex>();

  private constructor(private readonly folder: string) {}

  /** @throws TesseraError INDEX_CORRUPT */
  static async open(folder: string): Promise<IndexFolder> {
    await mkdir(folder, { recursive: true });
    const indexes = new IndexFolder(folder);
    for (const file of await readdir(folder))
      if (file.endsWith(".jsonl")) {
        const name = file.slice(0, -".jsonl".length);
        indexes.#indexes.set(name, await new ServedIndex(name, join(folder, file)).load());
      }
    return indexes;
  }

  get all(): readonly ServedIndex[] {
    return [...this.#indexes.values()];
  }

  /** What all of them give to flows. */
  get resources(): Resources {
    return {
      store: Object.assign({}, ...this.all.map(({ resources }) => resources.store)),
      encoder: Object.assign({}, ...this.all.map(({ resources }) => resources.encoder)),
    };
  }

  /** @throws TesseraError NOT_FOUND */
  get(name: string): ServedIndex {
    const found = this.#indexes.get(name);
    if (!found)
      throw new TesseraError("NOT_FOUND", `there is no index "${name}"`, {
        hint: didYouMean(name, this.#indexes.keys()),
      });
    return found;
  }

  /** @throws TesseraError CONFLICT where there is one of that name. */
  async create(name: string): Promise<ServedIndex> {
    if (this.#indexes.has(name)) throw new TesseraError("CONFLICT", `there is an index "${name}"`, { path: name });
    const log = join(this.folder, `${name}.jsonl`);
    const index = new ServedIndex(name, log);
    this.#indexes.set(name, index);
    await appendFile(log, "");
    return index;
  }

  /** @throws TesseraError NOT_FOUND */
  async remove(name: string): Promise<void> {
    const index = this.get(name);
    this.#indexes.delete(name);
    const log = join(this.folder, `${name}.jsonl`);
    await rename(log, `${log}.removed`);
    await index.close();
    await rm(`${log}.removed`);
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((index) => index.close()));
  }
}
