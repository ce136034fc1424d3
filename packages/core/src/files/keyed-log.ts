import { createHash } from "node:crypto";
import { TesseraError } from "../errors.js";
import { AppendLog, type AppendLogOptions, entryBytes, type Place } from "./append-log.js";

/** One change of a keyed log. */
export type KeyedChange =
  /** `blobs` are the hashes of the blobs that the value names: they are kept as long as it is. */
  | { readonly put: string; readonly value: Uint8Array; readonly blobs?: readonly string[] | undefined }
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

interface Kept {
  place: Place;
  readonly blobs: readonly string[];
}
interface Blob {
  /** Nothing while its first write is under way. */
  place: Place | undefined;
  /** How many values name it. */
  count: number;
  /** `failures` of the log when its write was asked for. */
  asked: number;
}

const kinds = { put: 1, delete: 2, blob: 3 } as const;
const hashBytes = 32;
const moveBytes = 4 << 20;

/** The content hash of a blob: SHA-256 in hexadecimal digits. */
export const blobHash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/**
 * Values by key, and blobs by content hash, in a log. A blob is written once, and kept as long as a value names it. What
 * no longer counts is compacted: the files hold at most twice the bytes of what does, and `spareBytes`.
 */
export class KeyedLog {
  readonly #kept = new Map<string, Kept>();
  readonly #blobs = new Map<string, Blob>();
  /** How many changes of each key are asked for and not yet made. */
  readonly #pending = new Map<string, number>();
  #log!: AppendLog;
  #liveBytes = 0;
  #compacting: Promise<void> | undefined;
  #closed = false;

  private constructor(private readonly options: KeyedLogOptions) {}

  /** @throws TesseraError RECORD_CORRUPT, as `AppendLog.open`. */
  static async open(options: KeyedLogOptions): Promise<KeyedLog> {
    const keyed = new KeyedLog(options);
    keyed.#log = await AppendLog.open({ ...options, onEntry: (payload, place) => keyed.#replay(payload, place) });
    for (const [hash, blob] of keyed.#blobs) {
      if (blob.count === 0) keyed.#forgetBlob(hash, blob);
      else if (!blob.place)
        throw new TesseraError("RECORD_CORRUPT", `the value ${hash} is missing`, { path: options.folder });
    }
    return keyed;
  }

  #replay(payload: Buffer, place: Place): void {
    const { kind, key, blobs, value } = decode(payload);
    if (kind === kinds.blob) {
      const known = this.#blobs.get(key);
      if (known?.place) this.#liveBytes -= entryBytes(known.place);
      this.#blobs.set(key, { place, count: known?.count ?? 0, asked: 0 });
      this.#liveBytes += entryBytes(place);
      return;
    }
    const before = this.#kept.get(key);
    if (kind === kinds.put)
      for (const hash of blobs) {
        const blob = this.#blobs.get(hash);
        if (blob) blob.count++;
        else this.#blobs.set(hash, { place: undefined, count: 1, asked: 0 });
      }
    if (before) {
      this.#liveBytes -= entryBytes(before.place);
      for (const hash of before.blobs) this.#blobs.get(hash)!.count--;
    }
    if (kind === kinds.put) {
      this.#kept.set(key, { place, blobs });
      this.#liveBytes += entryBytes(place);
    } else this.#kept.delete(key);
    this.options.onOpen?.(key, kind === kinds.put ? value : undefined);
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

  keys(): IterableIterator<string> {
    return this.#kept.keys();
  }

  /** Bytes of a value and of the blobs that it names; those that others name too count as well. */
  bytesOf(key: string): number {
    const kept = this.#kept.get(key);
    if (!kept) return 0;
    return kept.blobs.reduce((sum, hash) => sum + (this.#blobs.get(hash)?.place?.length ?? 0), kept.place.length);
  }

  /** @throws TesseraError RECORD_CORRUPT where it is not what was written. */
  async get(key: string): Promise<Buffer | undefined> {
    const payload = await this.#read(() => this.#kept.get(key)?.place);
    return payload && decode(payload).value;
  }

  /** @throws TesseraError RECORD_CORRUPT where it is not what was written. */
  async blob(hash: string): Promise<Buffer | undefined> {
    const payload = await this.#read(() => this.#blobs.get(hash)?.place);
    if (!payload) return undefined;
    const { value } = decode(payload);
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
  commit(changes: readonly KeyedChange[], blobs: ReadonlyMap<string, Uint8Array> = none): Promise<void> {
    const payloads: Buffer[] = [];
    const written: string[] = [];
    for (const [hash, value] of blobs) {
      if (!this.#mustWrite(hash)) continue;
      written.push(hash);
      payloads.push(encode(kinds.blob, hash, [], value));
    }
    for (const change of changes) {
      const key = keyOf(change);
      this.#pending.set(key, (this.#pending.get(key) ?? 0) + 1);
      if ("put" in change) {
        // named from now on, so that nobody removes it meanwhile
        for (const hash of change.blobs ?? []) this.#blobs.get(hash)!.count++;
        payloads.push(encode(kinds.put, key, change.blobs ?? [], change.value));
      } else payloads.push(encode(kinds.delete, key, [], nothing));
    }
    return this.#log.append(payloads).then(
      (places) => this.#applied(changes, written, places),
      (error) => {
        for (const change of changes) {
          this.#settled(keyOf(change));
          if ("put" in change) this.#release(change.blobs ?? []);
        }
        throw error;
      },
    );
  }

  /** Whether a blob has to be written: it is neither there nor asked for. */
  #mustWrite(hash: string): boolean {
    const { failures } = this.#log;
    const known = this.#blobs.get(hash);
    if (known && (known.place || known.asked === failures)) return false;
    if (known) known.asked = failures;
    else this.#blobs.set(hash, { place: undefined, count: 0, asked: failures });
    return true;
  }

  #settled(key: string): void {
    const left = this.#pending.get(key)! - 1;
    if (left === 0) this.#pending.delete(key);
    else this.#pending.set(key, left);
  }

  #applied(changes: readonly KeyedChange[], written: readonly string[], places: readonly Place[]): void {
    for (const [index, hash] of written.entries()) {
      const place = places[index]!;
      this.#blobs.get(hash)!.place = place;
      this.#liveBytes += entryBytes(place);
    }
    for (const [index, change] of changes.entries()) {
      const key = keyOf(change);
      this.#settled(key);
      const before = this.#kept.get(key);
      if (before) {
        this.#liveBytes -= entryBytes(before.place);
        this.#kept.delete(key);
        this.#release(before.blobs);
      }
      if (!("put" in change)) continue;
      const place = places[written.length + index]!;
      this.#kept.set(key, { place, blobs: change.blobs ?? [] });
      this.#liveBytes += entryBytes(place);
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
        if (!this.#closed) process.emitWarning(`a log could not be compacted: ${String(error)}`, "TesseraWarning");
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

  async #move(one: Kept | Blob): Promise<void> {
    const before = one.place!;
    const payload = await this.#log.read(before);
    const { kind, key } = decode(payload);
    // what is being replaced must not come behind what replaces it
    if (this.#pending.has(key) || (kind === kinds.blob ? this.#blobs : this.#kept).get(key) !== one) return;
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

const keyOf = (change: KeyedChange): string => ("put" in change ? change.put : change.delete);
const none: ReadonlyMap<string, Uint8Array> = new Map();
const nothing = Buffer.alloc(0);

/** Kind, bytes of the key, number of blobs, key, hashes of blobs, value. The key of a blob is its hash. */
function encode(kind: number, key: string, blobs: readonly string[], value: Uint8Array): Buffer {
  const encoding = kind === kinds.blob ? "hex" : "utf8";
  const keyBytes = Buffer.byteLength(key, encoding);
  const payload = Buffer.allocUnsafe(5 + keyBytes + blobs.length * hashBytes + value.length);
  payload[0] = kind;
  payload.writeUInt16LE(keyBytes, 1);
  payload.writeUInt16LE(blobs.length, 3);
  let at = 5 + payload.write(key, 5, encoding);
  for (const hash of blobs) at += payload.write(hash, at, "hex");
  payload.set(value, at);
  return payload;
}

function decode(payload: Buffer) {
  const kind = payload[0]!;
  const keyEnd = 5 + payload.readUInt16LE(1);
  const count = payload.readUInt16LE(3);
  const at = keyEnd + count * hashBytes;
  return {
    kind,
    key: payload.toString(kind === kinds.blob ? "hex" : "utf8", 5, keyEnd),
    blobs: Array.from({ length: count }, (_, index) =>
      payload.toString("hex", keyEnd + index * hashBytes, keyEnd + (index + 1) * hashBytes),
    ),
    value: payload.subarray(at),
  };
}
