// internal: repairLog, LogRepair

import { nameOf } from "./append-log.js";
import { blobHash, decodeEntryOfKey, type KeyedChange, KeyedLog, kinds } from "./keyed-log.js";
import { diskFiles, type LogFiles } from "./log-files.js";
import { decodeEntry, decodeHeader, type Entry, headerBytes } from "./segment.js";

/** What can be kept of a keyed log that is damaged, and what cannot. */
export interface LogRepair {
  /** Bytes that hold no whole entry though they were confirmed. A file that is missing has none. */
  readonly damages: readonly { readonly path: string; readonly from: number; readonly bytes: number }[];
  /** The keys of values, and of lists with members, that are lost since a blob that they name is. */
  readonly dropped: readonly string[];
  /** How many values and members of lists are kept. */
  readonly kept: number;
  /** Where the damaged log lies, once it was repaired. */
  readonly moved?: string | undefined;
}

interface Value {
  readonly value: Buffer;
  readonly blobs: readonly string[];
}

/** What the whole entries of a log come to. */
interface Content {
  readonly values: Map<string, Value>;
  readonly lists: Map<string, Map<number, Value>>;
  readonly blobs: Map<string, Buffer>;
}

/**
 * Looks at a keyed log entry by entry, past what is damaged; and, where `drop` says so, writes what is whole into a log of
 * its own, which takes the place of the damaged one. That one is moved beside it and not changed. The process must hold the
 * folder. Holds the content of the log in memory.
 * @param options `drop`: whether to repair it; else nothing is changed
 */
export async function repairLog(
  folder: string,
  { drop, files }: { readonly drop: boolean; readonly files?: LogFiles | undefined },
): Promise<LogRepair> {
  const disk = files ?? (await diskFiles());
  const content: Content = { values: new Map(), lists: new Map(), blobs: new Map() };
  const damages = await readWhole(folder, disk, content);
  const dropped = dropNameless(content);
  let kept = content.values.size;
  for (const members of content.lists.values()) kept += members.size;
  const isDamaged = damages.length > 0 || dropped.length > 0;
  if (!drop || !isDamaged) return { damages, dropped, kept };
  const moved = `${folder}.damaged-${new Date().toISOString().replaceAll(":", "-")}`;
  await writeAnew(`${folder}.repaired`, disk, content);
  await disk.rename(folder, moved);
  await disk.rename(`${folder}.repaired`, folder);
  await disk.syncFolder(folder.replace(/\/[^/]*$/, "") || "/");
  return { damages, dropped, kept, moved };
}

async function readWhole(folder: string, disk: LogFiles, content: Content): Promise<LogRepair["damages"]> {
  const damages: { path: string; from: number; bytes: number }[] = [];
  const names = (await disk.list(folder)).filter((name) => /^\d{8}\.log$/.test(name)).sort();
  let before = 0; // the last sequence number
  let next: number | undefined;
  for (const name of names) {
    const path = `${folder}/${name}`;
    if (next !== undefined && Number.parseInt(name, 10) !== next)
      damages.push({ path: `${folder}/${nameOf(next)}`, from: 0, bytes: 0 });
    next = Number.parseInt(name, 10) + 1;
    const file = await disk.open(path, "existing");
    const bytes = await file.read(0, await file.size()).finally(() => file.close());
    const { confirmed, isWhole, succeeded } = headOf(bytes, path);
    if (succeeded && name === names.at(-1)) damages.push({ path: `${folder}/${nameOf(next)}`, from: 0, bytes: 0 });
    if (!isWhole) damages.push({ path, from: 0, bytes: Math.min(bytes.length, headerBytes) });
    let at = headerBytes;
    while (at < bytes.length) {
      const found = entryFrom(bytes, at, before);
      // behind what was confirmed nothing is missed, and a gap there is the end
      const end = found ? found.at : bytes.length;
      if (end > at && at < confirmed) damages.push({ path, from: at, bytes: Math.min(end, confirmed) - at });
      if (!found || (end > at && at >= confirmed)) break;
      before = found.entry.sequence;
      at = found.entry.end;
      take(content, found.entry.payload);
    }
    if (bytes.length < confirmed && at >= bytes.length)
      damages.push({ path, from: bytes.length, bytes: confirmed - bytes.length });
  }
  return damages;
}

/** How far a file was confirmed; where its head does not say, as far as it goes without the zeros at its end. */
function headOf(bytes: Buffer, path: string) {
  try {
    const { length, succeeded } = decodeHeader(bytes, path).mark;
    return { confirmed: length, succeeded, isWhole: true };
  } catch {
    return { confirmed: 1 + bytes.findLastIndex((byte) => byte !== 0), succeeded: false, isWhole: false };
  }
}

const most = 1 << 24; // sequence numbers that a gap may leave out

/** The first whole entry from a place on. */
function entryFrom(bytes: Buffer, from: number, before: number): { at: number; entry: Entry } | undefined {
  for (let at = from; at + 17 <= bytes.length; at++) {
    if (bytes[at + 16]! > 1 || at + 17 + bytes.readUInt32LE(at) > bytes.length) continue;
    const sequence = bytes.readUInt32LE(at + 8) + bytes.readUInt32LE(at + 12) * 2 ** 32;
    if (sequence <= before || sequence > before + most) continue;
    const entry = decodeEntry(bytes, at);
    if (entry) return { at, entry };
  }
  return undefined;
}

function take({ values, lists, blobs }: Content, payload: Buffer): void {
  const { kind, key, blobs: named, value, number } = decodeEntryOfKey(payload);
  if (kind === kinds.blob) {
    if (blobHash(value) === key) blobs.set(key, value);
  } else if (kind === kinds.put) values.set(key, { value, blobs: named });
  else if (kind === kinds.add) {
    const members = lists.get(key) ?? new Map<number, Value>();
    lists.set(key, members.set(number, { value, blobs: named }));
  } else {
    values.delete(key);
    lists.delete(key);
  }
}

/** Takes out what names a blob that is not there. @returns its keys */
function dropNameless({ values, lists, blobs }: Content): string[] {
  const dropped = new Set<string>();
  const lacks = ({ blobs: named }: Value) => named.some((hash) => !blobs.has(hash));
  for (const [key, value] of values) if (lacks(value) && values.delete(key)) dropped.add(key);
  for (const [key, members] of lists)
    for (const [number, member] of members) if (lacks(member) && members.delete(number)) dropped.add(key);
  return [...dropped];
}

async function writeAnew(folder: string, files: LogFiles, { values, lists, blobs }: Content): Promise<void> {
  for (const name of await files.list(folder).catch(() => [])) await files.remove(`${folder}/${name}`);
  const log = await KeyedLog.open({ folder, files });
  try {
    let writing: Promise<void>[] = [];
    const write = async (change: KeyedChange, named: readonly string[]) => {
      writing.push(log.commit([change], new Map(named.map((hash) => [hash, blobs.get(hash)!]))));
      if (writing.length < 1000) return;
      await Promise.all(writing);
      writing = [];
    };
    for (const [key, { value, blobs: named }] of values) await write({ put: key, value, blobs: named }, named);
    for (const [key, members] of lists)
      for (const [, { value, blobs: named }] of [...members].sort(([a], [b]) => a - b))
        await write({ add: key, value, blobs: named }, named);
    await Promise.all(writing);
  } finally {
    await log.close();
  }
}
