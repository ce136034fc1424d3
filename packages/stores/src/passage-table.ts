// public: LoadSettings, SaveSettings
import { createHash } from "node:crypto";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { type ChangeOptions, type Filter, type Hit, type Passage, type Principal, TesseraError } from "@tessera/core";
import { admits, assertFilter, every, matches } from "@tessera/core/internal";
import { Access } from "./access.js";
import { Facets } from "./facets.js";

/** What a query admits, for use until the next change. */
export interface Admission {
  readonly admits: (slot: number) => boolean;
  /** All slots that are admitted, rising, where they are few and known by name or value; else each is to be asked. */
  readonly slots?: Int32Array;
}

/** How much of an index is written. */
export interface SaveSettings {
  /**
   * "none" where the passages are kept elsewhere: then the index holds their ids alone, and they are given when it is
   * opened. By default all of them.
   */
  readonly passages?: "all" | "none";
  /** Bytes of a vector's component: 4 by default; 1 rounds it to 255 steps, which moves a cosine by about 0.001. */
  readonly bytes?: 4 | 1;
}

/** What an index is opened with. */
export interface LoadSettings {
  /** Those that were left out when it was saved; others may be among them. */
  readonly passages?: readonly Passage[];
}

/** Below this share of the passages what is admitted is looked at one by one. */
export const selective = 0.1;

const keysKept = 100_000;

/** Whether a slot is among some; the set is made when it is first asked. */
function within(slots: Int32Array, end: number): (slot: number) => boolean {
  let set: Uint32Array | undefined;
  return (slot) => {
    if (!set) {
      set = new Uint32Array((end + 31) >> 5);
      for (const one of slots) set[one >> 5]! |= 1 << (one & 31);
    }
    return ((set[slot >> 5]! >> (slot & 31)) & 1) === 1;
  };
}

/** The passages of a store, each in a numbered slot, with what every store needs of them. */
export class PassageTable {
  readonly #slots = new Map<string, number>();
  readonly #passages: (Passage | undefined)[] = [];
  readonly #vacant: number[] = [];
  readonly #access = new Access();
  readonly #facets = new Facets(this.#passages);
  #keys = new Set<string>(); // of the changes that were made with one, the latest last
  #open = true;

  /** @param store the store's name in provenance: "store.bm25" */
  constructor(
    readonly store: string,
    public revision = `${store}:0`,
  ) {}

  /** How many passages it holds. */
  get size(): number {
    return this.#slots.size;
  }

  /** How many slots were ever given. */
  get end(): number {
    return this.#passages.length;
  }

  /** Whether every passage is open to everybody. */
  get unrestricted(): boolean {
    return this.#access.isOpen;
  }

  slotOf(id: string): number | undefined {
    return this.#slots.get(id);
  }

  at(slot: number): Passage | undefined {
    return this.#passages[slot];
  }

  /** A slot that was cleared, or the next new one. Only for stores that keep nothing else of a cleared slot. */
  vacancy(): number {
    return this.#vacant.pop() ?? this.#passages.length;
  }

  readonly idAt = (slot: number): string => this.#passages[slot]!.id;

  /** Puts a passage into its own slot, a vacant one or a new one, and returns the slot. */
  put(passage: Passage, slot = this.#passages.length): number {
    const before = this.#passages[slot];
    if (before) {
      this.#access.clear(slot);
      this.#facets.clear(slot, before);
    }
    this.#passages[slot] = { ...passage };
    this.#slots.set(passage.id, slot);
    this.#access.put(slot, passage);
    this.#facets.put(slot, passage);
    return slot;
  }

  clear(slot: number): void {
    const passage = this.#passages[slot];
    if (!passage) return;
    this.#passages[slot] = undefined;
    this.#slots.delete(passage.id);
    this.#vacant.push(slot);
    this.#access.clear(slot);
    this.#facets.clear(slot, passage);
  }

  /** Clears the slot of a passage, and returns the slot where there was one. */
  remove(id: string): number | undefined {
    const slot = this.#slots.get(id);
    if (slot !== undefined) this.clear(slot);
    return slot;
  }

  /** Keeps the key of a change, and gives the revision after it, where there was one: equal for stores that saw the same changes in the same order. */
  note(change: readonly (string | Uint8Array)[], { idempotencyKey }: ChangeOptions = {}): void {
    if (idempotencyKey !== undefined) this.#keep(idempotencyKey);
    if (change.length === 0) return;
    const hash = createHash("sha256").update(this.revision);
    for (const part of change) hash.update(part).update("\n");
    this.revision = `${this.store}:${hash.digest("hex").slice(0, 32)}`;
  }

  /** Whether the change was made already. */
  isMade({ idempotencyKey }: ChangeOptions = {}): boolean {
    return idempotencyKey !== undefined && this.#keys.has(idempotencyKey);
  }

  /** Keeps the key of a change that was made, and forgets the oldest above 100,000. */
  #keep(key: string): void {
    this.#keys.add(key);
    if (this.#keys.size > keysKept)
      for (const oldest of [...this.#keys].slice(0, keysKept / 10)) this.#keys.delete(oldest);
  }

  /** The keys of changes, one a line, as JSON. */
  keyLines(): Uint8Array {
    return Buffer.from([...this.#keys].map((key) => `${JSON.stringify(key)}\n`).join(""));
  }

  readKeys(lines: Uint8Array | undefined): void {
    for (const line of Buffer.from(lines ?? [])
      .toString("utf8")
      .split("\n"))
      if (line !== "") this.#keys.add(JSON.parse(line) as string);
  }

  /** Takes the keys of another over. */
  takeKeys(other: PassageTable): void {
    this.#keys = other.#keys;
  }

  /** How many slots a principal may see. */
  permitted(principal: Principal | undefined): number {
    return this.unrestricted ? this.size : this.#access.of(principal).count;
  }

  /**
   * What a query admits, for use until the next change.
   * @throws TesseraError BAD_ARGUMENT for a range whose bounds are no numbers
   */
  admission(filter: Filter | undefined, principal: Principal | undefined): Admission {
    if (filter) assertFilter(filter);
    const passages = this.#passages;
    const most = selective * this.size;
    const permitted = this.unrestricted ? undefined : this.#access.of(principal);
    const seen = permitted?.mask;
    const visible = (slot: number) => (seen ? seen[slot] === 1 : passages[slot] !== undefined);
    const own = permitted && permitted.count < most ? permitted.slots() : undefined;
    if (filter === undefined) return own ? { admits: visible, slots: own } : { admits: visible };
    const admits = (slot: number) => visible(slot) && matches(passages[slot]!, filter);
    const named = this.#named(filter) ?? this.#facets.find(filter, own ? own.length : most) ?? own;
    if (!named) return { admits };
    const found: number[] = [];
    for (const slot of named) if (admits(slot)) found.push(slot);
    const slots = Int32Array.from(found).sort();
    return { slots, admits: within(slots, this.end) };
  }

  admits(slot: number, filter: Filter | undefined, principal: Principal | undefined): boolean {
    const passage = this.#passages[slot];
    return passage !== undefined && admits(passage, filter, principal);
  }

  /** The slots that a filter leaves, where it names passages by id; `undefined` where it does not. */
  #named(filter: Filter): Iterable<number> | undefined {
    if ("all" in filter) {
      for (const part of filter.all) {
        const slots = this.#named(part);
        if (slots) return slots;
      }
      return undefined;
    }
    if (!("field" in filter) || filter.field !== "id") return undefined;
    const ids = "in" in filter ? filter.in : "equals" in filter ? [filter.equals] : undefined;
    return ids && [...new Set(ids)].flatMap((id) => this.#slots.get(id as string) ?? []);
  }

  hits(ranked: readonly { slot: number; score: number }[]): Hit[] {
    return ranked.map(({ slot, score }, index) => ({
      passage: this.#passages[slot]!,
      score,
      provenance: [{ operator: this.store, rank: index + 1, score }],
    }));
  }

  get(ids: readonly string[], principal: Principal | undefined): (Passage | undefined)[] {
    this.assertOpen();
    return ids.map((id) => {
      const slot = this.#slots.get(id);
      return slot !== undefined && this.admits(slot, undefined, principal) ? this.#passages[slot] : undefined;
    });
  }

  close(): void {
    this.#open = false;
  }

  /** @throws TesseraError CLOSED */
  assertOpen(): void {
    if (!this.#open) throw new TesseraError("CLOSED", `the store "${this.store}" is closed`);
  }

  /** One line of JSON a slot. */
  toLines(): Uint8Array {
    const chunks: Buffer[] = [];
    for (let from = 0; from < this.end; from += 1024) {
      let chunk = "";
      for (let slot = from; slot < Math.min(from + 1024, this.end); slot++)
        chunk += `${JSON.stringify(this.#passages[slot] ?? null)}\n`;
      chunks.push(Buffer.from(chunk));
    }
    return Buffer.concat(chunks);
  }

  /** The table as files of a snapshot: the passages, or their ids where they are kept elsewhere. */
  toFiles(passages: SaveSettings["passages"]): Record<string, Uint8Array> {
    if (passages !== "none") return { passages: this.toLines() };
    const ids = Array.from({ length: this.end }, (_, slot) => this.#passages[slot]?.id ?? null);
    return { ids: deflateRawSync(JSON.stringify(ids)) };
  }

  /**
   * The table that was saved, by the files of its snapshot: with its passages, or with ids alone, whose passages are given.
   * @throws TesseraError INDEX_CORRUPT
   */
  static fromFiles(
    store: string,
    revision: string,
    files: Readonly<Record<string, { bytes: Buffer; path: string }>>,
    passages: readonly Passage[] | undefined,
  ): PassageTable {
    const { ids } = files;
    if (ids === undefined) return PassageTable.fromLines(store, revision, files.passages?.bytes ?? Buffer.alloc(0));
    const known = new Map((passages ?? []).map((passage) => [passage.id, passage]));
    const table = new PassageTable(store, revision);
    for (const id of JSON.parse(inflateRawSync(ids.bytes).toString("utf8")) as (string | null)[]) {
      const passage = id === null ? undefined : known.get(id);
      if (id !== null && passage === undefined)
        throw new TesseraError("INDEX_CORRUPT", `the passage "${id}" of the index was not given`, {
          path: ids.path,
          hint: "this index was saved without its passages; give them when it is opened, or index again",
        });
      if (passage) table.put(passage);
      else table.#vacant.push(table.#passages.push(undefined) - 1);
    }
    return table;
  }

  static fromLines(store: string, revision: string, lines: Buffer): PassageTable {
    const table = new PassageTable(store, revision);
    for (let start = 0, end = lines.indexOf(10); end >= 0; start = end + 1, end = lines.indexOf(10, start)) {
      const passage = JSON.parse(lines.toString("utf8", start, end)) as Passage | null;
      if (passage) table.put(passage);
      else table.#vacant.push(table.#passages.push(undefined) - 1);
    }
    return table;
  }
}

/**
 * Passages as JSON; refuses what is no passage before anything is changed.
 * @throws TesseraError BAD_ARGUMENT
 */
export function passagesAsJson(passages: readonly Passage[]): string[] {
  return passages.map((passage, index) => {
    const { id, text, metadata } = passage;
    const path = `passages[${index}]`;
    if (typeof id !== "string" || typeof text !== "string" || typeof metadata !== "object" || metadata === null)
      throw new TesseraError("BAD_ARGUMENT", "a passage has an id, a text and metadata", { path });
    try {
      return JSON.stringify(passage);
    } catch (cause) {
      throw new TesseraError("BAD_ARGUMENT", "the metadata of a passage is JSON", { path, cause });
    }
  });
}

/** @throws TesseraError BAD_ARGUMENT */
export function assertTop(top: number): void {
  if (!Number.isInteger(top) || top < 1)
    throw new TesseraError("BAD_ARGUMENT", `top is a whole number above 0, not ${top}`);
}

/** The passages of a database in the order of the ids that were asked for; undefined where it has none. */
export const passagesInOrder = (ids: readonly string[], found: ReadonlyMap<string, string>): (Passage | undefined)[] =>
  ids.map((id) => {
    const passage = found.get(id);
    return passage === undefined ? undefined : (JSON.parse(passage) as Passage);
  });

/** Looks from time to time for what other processes wrote; 0 never looks. @returns what ends it */
export const keepFresh = (store: { refresh(): Promise<unknown> }, ms: number): (() => void) | undefined =>
  ms > 0 ? every(ms, () => void store.refresh().catch(() => {}), { background: true }) : undefined;

/** @throws TesseraError BAD_ARGUMENT where a store of a database cannot bear the name */
export function assertStoreName(name: string): void {
  const shape = /^[a-z][a-z0-9_]{0,39}$/;
  if (!shape.test(name))
    throw new TesseraError("BAD_ARGUMENT", `"${name}" cannot name a store`, { hint: `it matches ${shape}` });
}
