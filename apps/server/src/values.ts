// internal
import { type Json, TesseraError } from "@tessera/core";
import { type KeyedLog, sha256 } from "@tessera/core/internal";

/** Values by port: "=" and JSON, or "#" and the hash of JSON that is kept apart, once for all that name it. */
export type PackedRow = Readonly<Record<string, string>>;
type Row = Readonly<Record<string, Json>>;

const inline = 100; // characters, as in the records, which so name the same texts
const remembered = 8;

/** The latest large values, whose texts and hashes are not made twice: a value passes many ports. */
const latest: { value: Json; text: string; hash: string }[] = [];

/** The text of a value and its hash, where it is long enough to be kept apart. */
export function textOf(value: Json): { readonly text: string; readonly hash: string | undefined } {
  const isLong = typeof value === "string" && value.length > 1000;
  const known = isLong ? latest.find((one) => one.value === value) : undefined;
  if (known) return known;
  const text = JSON.stringify(value);
  if (text.length <= inline) return { text, hash: undefined };
  const made = { value, text, hash: sha256(text) };
  if (isLong && latest.unshift(made) > remembered) latest.pop();
  return made;
}

/** Puts what is long into `texts`, by hash. */
export function packRow(row: Row, texts: Map<string, string>): PackedRow {
  const packed: Record<string, string> = {};
  for (const port of Object.keys(row)) {
    const { text, hash } = textOf(row[port]!);
    if (hash === undefined) packed[port] = `=${text}`;
    else {
      texts.set(hash, text);
      packed[port] = `#${hash}`;
    }
  }
  return packed;
}

/** @throws TesseraError RECORD_CORRUPT where a value is not there. */
export async function unpackRow(packed: PackedRow, log: Pick<KeyedLog, "blob">): Promise<Row> {
  const row: Record<string, Json> = {};
  for (const [port, ref] of Object.entries(packed)) {
    const text = ref.startsWith("#") ? (await log.blob(ref.slice(1)))?.toString() : ref.slice(1);
    if (text === undefined) throw new TesseraError("RECORD_CORRUPT", "a value of a run is missing", { path: ref });
    row[port] = JSON.parse(text);
  }
  return row;
}
