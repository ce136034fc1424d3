import { TesseraError } from "../errors.js";
import { diskFiles, type LogFile, type LogFiles } from "./log-files.js";
import {
  corrupt,
  decodeEntry,
  decodeHeader,
  encodeEntry,
  encodeHeader,
  encodeMark,
  entryHeaderBytes,
  headerBytes,
  type Mark,
  markPosition,
} from "./segment.js";

/** Where an entry lies: the number of its segment, and bytes. */
export interface Place {
  readonly segment: number;
  readonly offset: number;
  /** Of the payload. */
  readonly length: number;
}

export interface AppendLogOptions {
  readonly folder: string;
  /** The size in bytes from which on a new segment is begun; 32 MiB. A larger entry has a segment of its own. */
  readonly segmentBytes?: number | undefined;
  /** The most bytes of entries that may wait to be written; 256 MiB. More are refused with OVERLOADED. */
  readonly waitingBytes?: number | undefined;
  /** Called before each write; what it throws refuses all that waits. */
  readonly beforeWrite?: (() => void) | undefined;
  /** Called for each entry that is there when the log is opened, in order. */
  readonly onEntry?: ((payload: Buffer, place: Place) => void) | undefined;
  readonly files?: LogFiles | undefined;
  /** Only reads, and changes no file: for a log that another process may be writing. */
  readonly readOnly?: boolean | undefined;
}

interface Segment {
  readonly number: number;
  readonly path: string;
  readonly first: number;
  readonly file: LogFile;
  readonly reads: Set<Promise<unknown>>;
  /** Confirmed bytes. */
  length: number;
  /** Bytes of the file: zeros lie behind what is written, so that most syncs change no length, which costs a disk more. */
  reserved: number;
}

/** What an entry holds, for who writes its bytes into the buffer of the log. */
export interface Payload {
  /** How many bytes `copy` writes. */
  readonly length: number;
  copy(target: Buffer, at: number): void;
}

/** Is told where the entries of a group lie, once they are synced; or what failed. */
type Settled = (error: unknown, places: readonly Place[]) => void;

type Payloads = readonly (Uint8Array | Payload)[];

interface Waiting {
  /** A function makes them when they are written. */
  payloads: Payloads | (() => Payloads);
  bytes: number;
  readonly settled: Settled;
}
interface Taken extends Waiting {
  payloads: Payloads;
}

const fileName = /^(\d{8})\.log$/;
/** The name of the file of a segment. */
export const nameOf = (number: number): string => `${String(number).padStart(8, "0")}.log`;
const batchBytes = 16 << 20;
const keptBytes = 1 << 20; // of the buffer that batches are written from
const leastReserve = 1 << 12;
const mostReserve = 1 << 20;
const noPlaces: readonly Place[] = [];

const bytesOf = (payloads: Payloads): number =>
  payloads.reduce((sum, { length }) => sum + length + entryHeaderBytes, 0);

/** The bytes of a file without the zeros at its end. */
function withoutZeros(bytes: Buffer, from: number): number {
  let end = bytes.length;
  while (end > from && bytes[end - 1] === 0) end--;
  return end;
}

/** Bytes that an entry takes in its file. */
export const entryBytes = ({ length }: Place): number => length + entryHeaderBytes;

/**
 * A log of entries in a folder that is only appended to. Appends that wait at the same time share one write and one sync
 * (group commit), and each resolves after the sync that covers it has returned. A group of entries is there wholly or not
 * at all, and so is all that was written together. Each entry has a sequence number and a checksum, and each file a mark of
 * what was confirmed: a confirmed entry that was changed or is missing is RECORD_CORRUPT with the name of the file; an
 * unconfirmed end is dropped.
 */
export class AppendLog {
  readonly #segments: Segment[] = [];
  #next = 1;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  /** What the next batch is written from: it is made once, since a buffer of its own for each would cost more than its copy. */
  #buffer: Buffer | undefined;
  readonly #jobs: (() => Promise<void>)[] = [];
  #working: Promise<void> | undefined;
  #broken: unknown;
  #failures = 0;
  #closed = false;
  /** Bytes behind the last confirmed entry that were dropped when the log was opened. */
  dropped = 0;

  private constructor(
    private readonly options: AppendLogOptions,
    private readonly files: LogFiles,
  ) {}

  /**
   * Opens the log of a folder, or begins one.
   * @throws TesseraError RECORD_CORRUPT with the path of the file where confirmed entries are changed or missing.
   */
  static async open(options: AppendLogOptions): Promise<AppendLog> {
    const log = new AppendLog(options, options.files ?? (await diskFiles()));
    try {
      await log.#open();
    } catch (error) {
      for (const { file } of log.#segments) await file.close().catch(() => {});
      throw error;
    }
    return log;
  }

  /** Bytes of all files. */
  get bytes(): number {
    return this.#segments.reduce((sum, { length }) => sum + length, 0);
  }

  /** The numbers of the segments, the oldest first. The last one is written to. */
  get segments(): readonly number[] {
    return this.#segments.map(({ number }) => number);
  }

  /** The sequence number that the next entry gets. */
  get next(): number {
    return this.#next;
  }

  get #active(): Segment {
    return this.#segments.at(-1)!;
  }

  #path(number: number): string {
    return `${this.options.folder}/${nameOf(number)}`;
  }

  async #open(): Promise<void> {
    const { files, options } = this;
    const { readOnly = false } = options;
    if (!readOnly) await files.makeFolder(options.folder);
    const numbers: number[] = [];
    for (const name of await files.list(options.folder)) {
      const number = fileName.exec(name)?.[1];
      if (number) numbers.push(Number(number));
      else if (name.endsWith(".log.draft") && !readOnly) await files.remove(`${options.folder}/${name}`);
    }
    if (numbers.length === 0) return readOnly ? undefined : this.#begin(1, 1);
    numbers.sort((a, b) => a - b);
    const last = numbers.at(-1)!;
    const { oldest, succeeded } = await this.#markOf(last);
    if (succeeded) throw corrupt(this.#path(last + 1), "a file of a log is missing");
    for (const number of numbers) if (number < oldest && !readOnly) await files.remove(this.#path(number));
    for (let number = oldest; number <= last; number++) {
      if (!numbers.includes(number)) throw corrupt(this.#path(number), "a file of a log is missing");
      await this.#load(number, number === last);
    }
  }

  async #markOf(number: number): Promise<Mark> {
    const path = this.#path(number);
    const file = await this.files.open(path, "existing");
    try {
      const { number: said, mark } = decodeHeader(await file.read(0, headerBytes), path);
      if (said !== number) throw corrupt(path, "a file of a log is another one");
      return mark;
    } finally {
      await file.close();
    }
  }

  /** Reads a segment and tells its entries. */
  async #load(number: number, isLast: boolean): Promise<void> {
    const path = this.#path(number);
    const file = await this.files.open(path, "existing");
    const bytes = await file.read(0, await file.size());
    const reserved = bytes.length;
    const segment: Segment = { number, path, first: this.#next, file, reads: new Set(), length: headerBytes, reserved };
    this.#segments.push(segment);
    const { number: said, first, mark } = decodeHeader(bytes, path);
    const follows = this.#segments.length === 1 || first === this.#next;
    if (said !== number) throw corrupt(path, "a file of a log is another one");
    if (!follows) throw corrupt(this.#segments.at(-2)!.path, "entries at the end of a file of a log are missing");
    this.#next = first;
    this.#scan(segment, bytes, mark);
    if (segment.length < mark.length || this.#next < mark.next)
      throw corrupt(path, `entries from number ${this.#next} on are damaged or missing`);
    const end = withoutZeros(bytes, segment.length);
    const isWhole = segment.length === end;
    if (this.options.readOnly && (isWhole || isLast)) return;
    if (isWhole) {
      if (isLast && segment.length > mark.length) await this.#confirm(segment);
      return;
    }
    if (!isLast) throw corrupt(path, "the end of a file of a log is damaged");
    this.dropped = end - segment.length;
    await file.truncate(segment.length);
    segment.reserved = segment.length;
    await this.#confirm(segment);
  }

  /** Goes through the entries up to the first that is not whole; of a group that is not whole none counts. */
  #scan(segment: Segment, bytes: Buffer, mark: Mark): void {
    let group: { payload: Buffer; place: Place }[] = [];
    for (let at = headerBytes, sequence = this.#next; ; sequence++) {
      const entry = decodeEntry(bytes, at);
      if (!entry || entry.sequence !== sequence) return;
      const { payload, end, more } = entry;
      group.push({
        payload,
        place: { segment: segment.number, offset: at, length: payload.length },
      });
      at = end;
      if (more) continue;
      if (segment.length < mark.length && end > mark.length) return; // the mark lies within a group: it is damaged
      for (const { payload, place } of group) this.options.onEntry?.(payload, place);
      group = [];
      segment.length = end;
      this.#next = sequence + 1;
    }
  }

  async #confirm(segment: Segment): Promise<void> {
    segment.file.writeNow(this.#mark(segment), markPosition);
    await segment.file.sync();
  }

  #mark(segment: Segment, succeeded = false): Buffer {
    return encodeMark({ length: segment.length, next: this.#next, oldest: this.#segments[0]!.number, succeeded });
  }

  /** Begins a segment: it has its name once its beginning would survive a crash. */
  async #begin(number: number, oldest: number): Promise<void> {
    const { files, options } = this;
    const path = this.#path(number);
    const file = await files.open(`${path}.draft`, "create");
    try {
      const mark = { length: headerBytes, next: this.#next, oldest, succeeded: false };
      await file.write(encodeHeader({ number, first: this.#next }, mark), 0);
      await file.sync();
      await files.rename(`${path}.draft`, path);
      await files.syncFolder(options.folder);
    } catch (error) {
      await file.close().catch(() => {});
      throw error;
    }
    const reads = new Set<Promise<unknown>>();
    this.#segments.push({ number, path, first: this.#next, file, reads, length: headerBytes, reserved: headerBytes });
  }

  /**
   * Appends a group of entries.
   * @returns where they lie, once the sync that covers them has returned.
   * @throws TesseraError STORE_FAILED where they could not be written, and then nothing has changed; OVERLOADED, CLOSED, or
   * what `beforeWrite` throws.
   */
  append(payloads: Payloads): Promise<readonly Place[]> {
    return new Promise((resolve, reject) => {
      this.enqueue(payloads, (error, places) => (error === undefined ? resolve(places) : reject(error)));
    });
  }

  /**
   * As `append`, and calls: at once where the group is refused before it waits.
   * @param payloads a function is asked when the group is about to be written, and may give none by then
   */
  enqueue(payloads: Payloads | (() => Payloads), settled: Settled): void {
    const bytes = typeof payloads === "function" ? 0 : bytesOf(payloads);
    const refused = this.#refusal(bytes);
    if (refused || (typeof payloads !== "function" && payloads.length === 0)) return settled(refused, noPlaces);
    this.#waiting.push({ payloads, bytes, settled });
    this.#waitingBytes += bytes;
    this.#working ??= this.#work();
  }

  #refusal(bytes: number): TesseraError | undefined {
    const { folder, waitingBytes = 256 << 20 } = this.options;
    if (this.#closed) return new TesseraError("CLOSED", "the log is closed", { path: folder });
    if (this.options.readOnly)
      return new TesseraError("INDEX_LOCKED", "another process is writing it", { path: folder });
    if (this.#broken) return failure(this.#broken, folder);
    if (this.#waitingBytes > 0 && this.#waitingBytes + bytes > waitingBytes)
      return new TesseraError("OVERLOADED", "more waits to be written than is permitted", {
        path: folder,
        retryAfterMs: 1000,
      });
    return undefined;
  }

  async #work(): Promise<void> {
    // what is asked for in the same turn of the event loop goes together
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0 || this.#jobs.length > 0) {
      const job = this.#jobs.shift();
      if (job) await job();
      if (this.#waiting.length === 0) continue;
      const batch = this.#take();
      try {
        const place = await this.#write(batch);
        this.#tell(batch, place);
      } catch (error) {
        // what waits may stand on what failed
        this.#failures++;
        const failed = [...batch, ...this.#waiting];
        this.#waiting = [];
        this.#waitingBytes = 0;
        for (const { settled } of failed) settled(failure(error, this.options.folder), noPlaces);
      }
    }
    this.#working = undefined;
  }

  #take(): Taken[] {
    const batch: Taken[] = [];
    let bytes = 0;
    for (const one of this.#waiting) {
      if (batch.length > 0 && bytes + one.bytes > batchBytes) break;
      this.#waitingBytes -= one.bytes;
      if (typeof one.payloads === "function") {
        one.payloads = one.payloads();
        one.bytes = bytesOf(one.payloads);
      }
      bytes += one.bytes;
      batch.push(one as Taken);
    }
    this.#waiting = batch.length === this.#waiting.length ? [] : this.#waiting.slice(batch.length);
    return batch;
  }

  /** @returns where the batch begins */
  async #write(batch: readonly Taken[]): Promise<{ readonly segment: number; readonly start: number }> {
    this.options.beforeWrite?.();
    let size = 0;
    for (const { bytes } of batch) size += bytes;
    if (size === 0) return { segment: this.#active.number, start: this.#active.length };
    const { segmentBytes = 32 << 20 } = this.options;
    if (this.#active.length > headerBytes && this.#active.length + size > segmentBytes) await this.#succeed();
    const segment = this.#active;
    const start = segment.length;
    const bytes = this.#encoded(batch, size, segment);
    try {
      await segment.file.write(bytes, start);
    } catch (error) {
      await this.#undo(segment, error);
      throw error;
    }
    try {
      await segment.file.sync();
    } catch (error) {
      // nobody knows what of it is on the disk
      this.#broken = error;
      await segment.file.truncate(start).catch(() => {});
      throw error;
    }
    segment.reserved = Math.max(segment.reserved, start + bytes.length);
    segment.length += size;
    for (const { payloads } of batch) this.#next += payloads.length;
    try {
      segment.file.writeNow(this.#mark(segment), markPosition);
    } catch (error) {
      this.#broken = error; // this batch is kept; whether a later one could be is open
    }
    return { segment: segment.number, start };
  }

  #tell(batch: readonly Taken[], { segment, start }: { readonly segment: number; readonly start: number }): void {
    let offset = start;
    for (const { payloads, settled } of batch) {
      const places = payloads.map(({ length }) => {
        const place: Place = { segment, offset, length };
        offset += length + entryHeaderBytes;
        return place;
      });
      settled(undefined, places);
    }
  }

  /** The bytes of a batch, with zeros behind them where the file becomes longer. */
  #encoded(batch: readonly Taken[], size: number, segment: Segment): Buffer {
    const end = segment.length + size;
    const length = end <= segment.reserved ? size : this.#reserve(end) - segment.length;
    if (length <= keptBytes) this.#buffer ??= Buffer.allocUnsafe(keptBytes);
    const bytes = length <= keptBytes ? this.#buffer! : Buffer.allocUnsafe(length);
    let left = 0;
    for (const { payloads } of batch) left += payloads.length;
    let at = 0;
    let sequence = this.#next;
    // all of a batch is one group
    for (const { payloads } of batch)
      for (const payload of payloads) at = encodeEntry(bytes, at, { sequence: sequence++, more: --left > 0, payload });
    bytes.fill(0, at, length);
    return bytes.subarray(0, length);
  }

  /** How long a file becomes that has to hold so many bytes: longer files by more at a time. */
  #reserve(bytes: number): number {
    const { segmentBytes = 32 << 20 } = this.options;
    const more = Math.min(mostReserve, Math.max(leastReserve, bytes >> 1));
    return Math.max(bytes, Math.min(bytes + more, segmentBytes));
  }

  /** Takes back what was written of a batch. */
  async #undo(segment: Segment, error: unknown): Promise<void> {
    await segment.file.truncate(segment.length).catch(() => {
      this.#broken = error;
    });
    segment.reserved = segment.length;
  }

  /** Begins the next segment. */
  async #succeed(): Promise<void> {
    const before = this.#active;
    await this.#begin(before.number + 1, this.#segments[0]!.number);
    await this.#trim(before);
    before.file.writeNow(this.#mark(before, true), markPosition);
    await before.file.sync();
  }

  /** Takes the zeros away that lie behind what was written. */
  async #trim(segment: Segment): Promise<void> {
    if (segment.reserved > segment.length) await segment.file.truncate(segment.length);
    segment.reserved = segment.length;
  }

  /** Does a work while nothing is written. */
  #alone(work: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#jobs.push(() => work().then(resolve, reject));
      this.#working ??= this.#work();
    });
  }

  /** How often a write has failed: what waited then was refused with it. */
  get failures(): number {
    return this.#failures;
  }

  /** Resolves between two writes: what waited before has been written unless it came after the write under way. */
  between(): Promise<void> {
    return this.#alone(async () => {});
  }

  /** Begins a new segment, so that all that is there can be compacted. */
  rotate(): Promise<void> {
    return this.#alone(async () => {
      this.options.beforeWrite?.();
      if (this.#active.length > headerBytes) await this.#succeed();
    });
  }

  /** Removes the oldest segments up to one number; what of them still counts was appended again before. */
  dropThrough(number: number): Promise<void> {
    return this.#alone(async () => {
      this.options.beforeWrite?.();
      const dropped = this.#segments.filter((one) => one.number <= number && one !== this.#active);
      if (dropped.length === 0) return;
      this.#segments.splice(0, dropped.length);
      await this.#confirm(this.#active);
      for (const { file, path, reads } of dropped) {
        await Promise.allSettled(reads);
        await file.close();
        await this.files.remove(path);
      }
    });
  }

  /**
   * The payload of an entry.
   * @throws TesseraError RECORD_CORRUPT where it is not what was written.
   */
  async read({ segment: number, offset, length }: Place): Promise<Buffer> {
    const segment = this.#segments.find((one) => one.number === number);
    if (!segment) throw corrupt(this.#path(number), "a file of a log is missing");
    const reading = segment.file.read(offset, entryHeaderBytes + length);
    segment.reads.add(reading);
    const bytes = await reading
      .catch((cause) => {
        throw corrupt(segment.path, "a file of a log cannot be read", cause);
      })
      .finally(() => segment.reads.delete(reading));
    const entry = decodeEntry(bytes, 0);
    if (entry?.payload.length !== length) throw corrupt(segment.path, `the entry at byte ${offset} is damaged`);
    return entry.payload;
  }

  /** Writes what waits; then nothing more is taken. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#working) await this.#working;
    for (const segment of this.#segments) {
      await Promise.allSettled(segment.reads);
      if (segment === this.#active && !this.#broken && !this.options.readOnly)
        await this.#finish(segment).catch(() => {});
      await segment.file.close();
    }
  }

  async #finish(segment: Segment): Promise<void> {
    this.options.beforeWrite?.();
    await this.#trim(segment);
    await segment.file.sync();
  }
}

const failure = (error: unknown, path: string): TesseraError =>
  TesseraError.is(error)
    ? error
    : new TesseraError("STORE_FAILED", "the change could not be written; nothing has changed", { path, cause: error });
