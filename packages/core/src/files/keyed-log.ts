// internal: KeyedChange, KeyedLog
import { createHash } from "node:crypto";
import { TesseraError, warn } from "../errors.js";
import { Slots } from "../slots.js";
import { AppendLog, type AppendLogOptions, entryBytes, type Payload, type Place } from "./append-log.js";

/** One change of a keyed log. */
export type KeyedChange =
  /** `blobs` are the hashes of the blobs that the value names: they are kept as long as it is. */
  | { readonly put: string; readonly value: Uint8Array | string; readonly blobs?: readonly string[] | undefined }
  /** One more member of the list of a key. */
  | { readonly add: string; readonly value: Uint8Array | string; readonly blobs?: readonly string[] | undefined }
  /** Removes the value of a key, and its list. */
  | { readonly delete: string };

export interface KeyedLogOptions extends Omit<AppendLogOptions, "onEntry"> {
  /**
   * Called when the log is opened for each value and each deletion (`undefined`), in the order they were made: of one key
   * the last stands.
   */
  readonly onOpen?: ((key: string, value: Buffer | undefined) => void) | undefined;
  /** Bytes of what no longer counts that are left alone; 1 MiB. */
  readonly spareBytes?: number | undefined;
}

/** Values by their content hash. */
type Blobs = ReadonlyMap<string, Uint8Array | string>;

/** Changes that are asked for. */
interface Group {
  readonly changes: readonly KeyedChange[];
  /** First the blobs, then an entry for each change. */
  readonly payloads: readonly Entry[];
  /** The hashes of the blobs. */
  readonly written: readonly string[];
  /** Of the members of lists. */
  readonly numbers: readonly number[];
  /** Its place among what is pending. */
  readonly slot: number;
}

interface Kept {
  place: Place;
  readonly blobs: readonly string[];
}
/** The members of a list by their number; some numbers may be free. */
interface List {
  members: (Kept | undefined)[];
  next: number;
}
interface Blob {
  /** The one text of the hash that all values name. */
  readonly hash: string;
  /** Nothing while its first write is under way. */
  place: Place | undefined;
  /** How many values name it. */
  count: number;
  /** `failures` of the log when its write was asked for. */
  asked: number;
}

/** What an entry is. */
export const kinds = { put: 1, delete: 2, blob: 3, add: 4 } as const;
const hashBytes = 32;
const headBytes = 9;
const moveBytes = 4 << 20;

/** The content hash of a blob: SHA-256 in hexadecimal digits. */
export const blobHash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/**
 * Values by key, and blobs by content hash, in a log. A blob is written once, and kept as long as a value names it. What
 * no longer counts is compacted: the files hold at most twice the bytes of what does, and `spareBytes`.
 */
export class KeyedLog {
  readonly #kept = new Map<string, Kept>();
  readonly #lists = new Map<string, List>();
  readonly #blobs = new Map<string, Blob>();
  /** Changes that are asked for and not yet made. */
  readonly #pending = new Slots<readonly KeyedChange[]>();
  #log!: AppendLog;
  #liveBytes = 0;
  #compacting: Promise<void> | undefined;
  #closed = false;

  private constructor(private readonly options: KeyedLogOptions) {}

  /** @throws TesseraError RECORD_CORRUPT, as `AppendLog.open`. */
  static async open(options: KeyedLogOptions): Promise<KeyedLog> {
    const keyed = new KeyedLog(options);
    keyed.#log = await AppendLog.open({ ...options, onEntry: (payload, place) => keyed.#replay(payload, place) });
    // a list that grew by one has room for many more: thousands of lists that rest need none
    for (const list of keyed.#lists.values()) list.members = list.members.slice();
    for (const [hash, blob] of keyed.#blobs) {
      if (blob.count === 0) keyed.#forgetBlob(hash, blob);
      else if (!blob.place)
        throw new TesseraError("RECORD_CORRUPT", `the value ${hash} is missing`, { path: options.folder });
    }
    return keyed;
  }

  #replay(payload: Buffer, place: Place): void {
    const { kind, key, blobs: named, value, number } = decodeEntryOfKey(payload);
    if (kind === kinds.blob) {
      const known = this.#blobs.get(key);
      if (known?.place) this.#liveBytes -= entryBytes(known.place);
      this.#blobs.set(key, { hash: key, place, count: known?.count ?? 0, asked: 0 });
      this.#liveBytes += entryBytes(place);
      return;
    }
    const blobs = named.length === 0 ? none : named.map((hash) => this.#named(hash));
    const freed: string[] = [];
    if (kind === kinds.add) freed.push(...this.#setMember(key, number, { place, blobs }));
    else freed.push(...this.#set(key, kind === kinds.put ? { place, blobs } : undefined));
    // those that nothing names may be named again by what follows
    for (const hash of freed) this.#blobs.get(hash)!.count--;
    if (kind !== kinds.add) this.options.onOpen?.(key, kind === kinds.put ? value : undefined);
  }

  /** Counts that a value names a blob. @returns its hash, as every other value names it */
  #named(hash: string): string {
    const known = this.#blobs.get(hash);
    if (known) known.count++;
    else this.#blobs.set(hash, { hash, place: undefined, count: 1, asked: 0 });
    return known?.hash ?? hash;
  }

  /** @returns the blobs that what was there before named */
  #set(key: string, kept: Kept | undefined): readonly string[] {
    const before = this.#kept.get(key);
    if (before) this.#liveBytes -= entryBytes(before.place);
    if (kept) {
      this.#kept.set(key, kept);
      this.#liveBytes += entryBytes(kept.place);
      return before?.blobs ?? none;
    }
    const freed = [...(before?.blobs ?? none)];
    const free = (one: Kept | undefined) => {
      if (!one) return;
      this.#liveBytes -= entryBytes(one.place);
      freed.push(...one.blobs);
    };
    this.#kept.delete(key);
    const list = this.#lists.get(key);
    if (!list) return freed;
    list.members.forEach(free);
    // members that are asked for keep their numbers
    if (list.members.length === list.next) this.#lists.delete(key);
    else list.members.fill(undefined);
    return freed;
  }

  #listOf(key: string): List {
    const known = this.#lists.get(key);
    if (known) return known;
    const list: List = { members: [], next: 0 };
    this.#lists.set(key, list);
    return list;
  }

  #setMember(key: string, number: number, kept: Kept): readonly string[] {
    const list = this.#listOf(key);
    const before = list.members[number];
    if (before) this.#liveBytes -= entryBytes(before.place);
    while (list.members.length < number) list.members.push(undefined);
    list.members[number] = kept;
    list.next = Math.max(list.next, number + 1);
    this.#liveBytes += entryBytes(kept.place);
    return before?.blobs ?? [];
  }

  /** Bytes of the files. */
  get bytes(): number {
    return this.#log.bytes;
  }

  /** Bytes of what counts. */
  get liveBytes(): number {
    return this.#liveBytes;
  }

  /** Bytes behind the last confirmed entry that were dropped when the log was opened. */
  get dropped(): number {
    return this.#log.dropped;
  }

  has(key: string): boolean {
    return this.#kept.has(key);
  }

  /** Bytes of a value; 0 where there is none. */
  bytesOf(key: string): number {
    const kept = this.#kept.get(key);
    return kept ? kept.place.length - headBytes - Buffer.byteLength(key) - kept.blobs.length * hashBytes : 0;
  }

  keys(): IterableIterator<string> {
    return this.#kept.keys();
  }

  /** The keys of lists. */
  listKeys(): IterableIterator<string> {
    return this.#lists.keys();
  }

  hasBlob(hash: string): boolean {
    return this.#blobs.has(hash);
  }

  /** The members of a list, in the order in which they were added. @throws TesseraError RECORD_CORRUPT */
  async list(key: string): Promise<Buffer[]> {
    const members = this.#lists.get(key)?.members ?? [];
    const payloads = await Promise.all(members.map((_, number) => this.#read(() => members[number]?.place)));
    return payloads.filter((payload) => payload !== undefined).map((payload) => decodeEntryOfKey(payload).value);
  }

  /** @throws TesseraError RECORD_CORRUPT where it is not what was written. */
  async get(key: string): Promise<Buffer | undefined> {
    const payload = await this.#read(() => this.#kept.get(key)?.place);
    return payload && decodeEntryOfKey(payload).value;
  }

  /** @throws TesseraError RECORD_CORRUPT where it is not what was written. */
  async blob(hash: string): Promise<Buffer | undefined> {
    const payload = await this.#read(() => this.#blobs.get(hash)?.place);
    if (!payload) return undefined;
    const { value } = decodeEntryOfKey(payload);
    if (blobHash(value) !== hash)
      throw new TesseraError("RECORD_CORRUPT", `the value ${hash} has other content`, { path: this.options.folder });
    return value;
  }

  /** What is moved while it is read is read where it lies then. */
  async #read(find: () => Place | undefined): Promise<Buffer | undefined> {
    for (;;) {
      const place = find();
      if (!place) return undefined;
      try {
        return await this.#log.read(place);
      } catch (error) {
        if (find() === place) throw error;
      }
    }
  }

  /**
   * Makes some changes, all or none; resolves once they would survive a crash.
   * @param blobs values that the puts name by hash; those that are there are not written again
   * @throws TesseraError STORE_FAILED, OVERLOADED, CLOSED, or what `beforeWrite` throws; then nothing has changed.
   */
  commit(changes: readonly KeyedChange[], blobs: Blobs = noBlobs): Promise<void> {
    return new Promise((resolve, reject) => {
      this.enqueue(changes, blobs, (error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  /** As `commit`, and calls once the changes would survive a crash, or with what failed. */
  enqueue(changes: readonly KeyedChange[], blobs: Blobs, settled: (error: unknown) => void): void {
    const group = this.#prepared(changes, blobs);
    this.#log.enqueue(group.payloads, (error, places) => {
      this.#settle(group, error, places);
      settled(error);
    });
  }

  /**
   * As `commit`, for changes that are made when they are about to be written: what came meanwhile may have made them
   * needless. Their keys must be new.
   */
  commitLater(
    make: () => { readonly changes: readonly KeyedChange[]; readonly blobs: Blobs } | undefined,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      let group: Group | undefined;
      const payloads = () => {
        const made = make();
        if (made) group = this.#prepared(made.changes, made.blobs);
        return group?.payloads ?? [];
      };
      this.#log.enqueue(payloads, (error, places) => {
        if (group) this.#settle(group, error, places);
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }

  #prepared(changes: readonly KeyedChange[], blobs: Blobs): Group {
    const payloads: Entry[] = [];
    const written: string[] = [];
    for (const [hash, value] of blobs) {
      if (!this.#mustWrite(hash)) continue;
      written.push(hash);
      payloads.push(new Entry(kinds.blob, hash, none, value));
    }
    const numbers: number[] = [];
    for (const change of changes) {
      const key = keyOf(change);
      if ("add" in change) numbers.push(this.#listOf(key).next++);
      if ("delete" in change) {
        payloads.push(new Entry(kinds.delete, key, none, nothing));
        continue;
      }
      const { blobs: named = none, value } = change;
      // named from now on, so that nobody removes it meanwhile
      for (const hash of named) this.#blobs.get(hash)!.count++;
      if ("add" in change) payloads.push(new Entry(kinds.add, key, named, value, numbers.at(-1)));
      else payloads.push(new Entry(kinds.put, key, named, value));
    }
    return { changes, payloads, written, numbers, slot: this.#pending.add(changes) };
  }

  #settle(group: Group, error: unknown, places: readonly Place[]): void {
    const { changes } = group;
    this.#pending.remove(group.slot);
    if (error === undefined) this.#applied(group, places);
    else for (const change of changes) if (!("delete" in change)) this.#release(change.blobs ?? none);
  }

  /** Whether a blob has to be written: it is neither there nor asked for. */
  #mustWrite(hash: string): boolean {
    const { failures } = this.#log;
    const known = this.#blobs.get(hash);
    if (known && (known.place || known.asked === failures)) return false;
    if (known) known.asked = failures;
    else this.#blobs.set(hash, { hash, place: undefined, count: 0, asked: failures });
    return true;
  }

  /** Whether a change of a key is asked for and not yet made; further members of a list aside. */
  #isPending(key: string): boolean {
    for (const changes of this.#pending)
      for (const change of changes) if (!("add" in change) && keyOf(change) === key) return true;
    return false;
  }

  #applied({ changes, written, numbers }: Group, places: readonly Place[]): void {
    for (const [index, hash] of written.entries()) {
      const place = places[index]!;
      this.#blobs.get(hash)!.place = place;
      this.#liveBytes += entryBytes(place);
    }
    let added = 0;
    for (const [index, change] of changes.entries()) {
      const key = keyOf(change);
      const place = places[written.length + index]!;
      if ("add" in change)
        this.#release(this.#setMember(key, numbers[added++]!, { place, blobs: change.blobs ?? none }));
      else this.#release(this.#set(key, "put" in change ? { place, blobs: change.blobs ?? none } : undefined));
    }
    this.#compactIfDue();
  }

  #release(hashes: readonly string[]): void {
    for (const hash of hashes) {
      const blob = this.#blobs.get(hash);
      if (blob && --blob.count === 0) this.#forgetBlob(hash, blob);
    }
  }

  #forgetBlob(hash: string, blob: Blob): void {
    this.#blobs.delete(hash);
    if (blob.place) this.#liveBytes -= entryBytes(blob.place);
  }

  get #isDue(): boolean {
    const { spareBytes = 1 << 20 } = this.options;
    return this.#log.bytes - this.#liveBytes > Math.max(spareBytes, this.#liveBytes);
  }

  #compactIfDue(): void {
    if (this.#compacting || this.#closed || !this.#isDue) return;
    this.#compacting = this.#compact()
      .catch((error) => {
        if (!this.#closed) warn("a log could not be compacted", error);
      })
      .finally(() => {
        this.#compacting = undefined;
      });
  }

  /** Resolves once the compaction that is under way, or due, has ended. */
  async compacted(): Promise<void> {
    for (let before = Number.POSITIVE_INFINITY; ; before = this.#log.bytes) {
      await this.#compacting;
      if (this.#log.bytes >= before) return;
      this.#compactIfDue();
      if (!this.#compacting) return;
    }
  }

  /** Appends what still counts of the oldest segment again, and removes it, until little else is left. */
  async #compact(): Promise<void> {
    for (const segment of this.#log.segments) {
      if (!this.#isDue || this.#closed) return;
      if (segment === this.#log.segments.at(-1)) await this.#log.rotate();
      while (await this.#moveAll(segment)) await this.#log.between();
      await this.#log.dropThrough(segment);
    }
  }

  /** @returns whether there was something, so that another look is needed */
  async #moveAll(segment: number): Promise<boolean> {
    const here: (Kept | Blob)[] = [];
    for (const one of this.#kept.values()) if (one.place.segment === segment) here.push(one);
    for (const { members } of this.#lists.values())
      for (const one of members) if (one?.place.segment === segment) here.push(one);
    for (const one of this.#blobs.values()) if (one.place?.segment === segment) here.push(one);
    here.sort((a, b) => a.place!.offset - b.place!.offset);
    let moves: Promise<void>[] = [];
    let bytes = 0;
    for (const one of here) {
      if (one.place?.segment !== segment) continue;
      bytes += one.place.length;
      moves.push(this.#move(one));
      if (bytes < moveBytes) continue;
      await Promise.all(moves);
      moves = [];
      bytes = 0;
    }
    await Promise.all(moves);
    return here.length > 0;
  }

  #entry(kind: number, key: string): Kept | Blob | undefined {
    return kind === kinds.blob ? this.#blobs.get(key) : this.#kept.get(key);
  }

  async #move(one: Kept | Blob): Promise<void> {
    const before = one.place!;
    const payload = await this.#log.read(before);
    const { kind, key, number } = decodeEntryOfKey(payload);
    const there = kind === kinds.add ? this.#lists.get(key)?.members[number] : this.#entry(kind, key);
    // what is being replaced must not come behind what replaces it
    if (this.#isPending(key) || there !== one) return;
    const [place] = await this.#log.append([payload]);
    if (one.place === before) one.place = place!;
  }

  /** Writes what waits; then nothing more is taken. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#log.close();
    await this.#compacting;
  }
}

const keyOf = (change: KeyedChange): string =>
  "put" in change ? change.put : "add" in change ? change.add : change.delete;
const noBlobs: Blobs = new Map();
const none: readonly string[] = [];
const nothing = Buffer.alloc(0);

/** Kind, bytes of the key, how many blobs, number in a list, key, hashes of blobs, value. The key of a blob is its hash. */
class Entry implements Payload {
  readonly length: number;

  constructor(
    private readonly kind: number,
    private readonly key: string,
    private readonly blobs: readonly string[],
    private readonly value: Uint8Array | string,
    private readonly number = 0,
  ) {
    const bytes = typeof value === "string" ? Buffer.byteLength(value) : value.length;
    this.length = headBytes + this.keyBytes + blobs.length * hashBytes + bytes;
  }

  private get keyBytes(): number {
    return this.kind === kinds.blob ? hashBytes : Buffer.byteLength(this.key);
  }

  copy(target: Buffer, at: number): void {
    const { kind, key, blobs, value } = this;
    target[at] = kind;
    target.writeUInt16LE(this.keyBytes, at + 1);
    target.writeUInt16LE(blobs.length, at + 3);
    target.writeUInt32LE(this.number, at + 5);
    let end = at + headBytes;
    end += target.write(key, end, kind === kinds.blob ? "hex" : "utf8");
    for (const hash of blobs) end += target.write(hash, end, "hex");
    if (typeof value === "string") target.write(value, end);
    else target.set(value, end);
  }
}

/** What an entry of a keyed log holds. */
export function decodeEntryOfKey(payload: Buffer) {
  const kind = payload[0]!;
  const keyEnd = headBytes + payload.readUInt16LE(1);
  const count = payload.readUInt16LE(3);
  const hash = (index: number) => payload.toString("hex", keyEnd + index * hashBytes, keyEnd + (index + 1) * hashBytes);
  return {
    kind,
    key: payload.toString(kind === kinds.blob ? "hex" : "utf8", headBytes, keyEnd),
    blobs: count === 0 ? none : Array.from({ length: count }, (_, index) => hash(index)),
    number: payload.readUInt32LE(5),
    value: payload.subarray(keyEnd + count * hashBytes),
  };
}
